"""What cutting one group costs, measured for many cuts of one net at once.

The loop over batches is outside and the loop over cuts inside, so that all cuts of a batch share what the
uncut net computed for it: a cut changes nothing before the first layer that consumes the group's channels.
"""
