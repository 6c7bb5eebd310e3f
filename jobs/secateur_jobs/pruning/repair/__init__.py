"""Repair of a cut without labels, before any training.

``repair_weights`` runs between the choice of channels and the cut, on the uncut net, and changes the layers
that read removed channels. Batch normalisations are recalibrated after the cut
(:func:`secateur_jobs.training.batchnorm.recalibrate`): their statistics are those of the cut net.
"""
