"""Which channels go first: one criterion per module, all of one form.

A criterion takes the net, a group and calibration data, and returns one score per channel of the group,
float64 or float32, shape [channels]; the lowest go first.
"""
