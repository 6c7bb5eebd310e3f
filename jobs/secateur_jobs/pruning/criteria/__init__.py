"""Which units go first: one criterion per module, all of one form.

A criterion takes the net, a group and calibration data, and returns one score per unit of the group (a
channel, a head, a hidden unit ...), float64 or float32, shape [units]; the lowest go first. All layers that a
group couples have a say, and scores of different groups compare:

* of weights and activations (l1_norm, activation): each layer's scores are divided by their
  mean, and the layers' are averaged, so that every group has mean 1. A group of one layer is ordered as by
  the plain criterion.
* of the loss (taylor, fisher): estimates of one and the same loss, summed over the layers.
"""
