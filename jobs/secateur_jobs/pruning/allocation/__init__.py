"""Spread a cut over the groups: one width for each, so that every target is reached at little predicted loss.

The predicted loss is the sum of the groups' own curves, as PaddleSlim and Li et al. (2017) assume, plus a
convex term for lost capacity (:data:`problem.EVEN`). Each method takes a :class:`problem.Problem` and ends
within one aligned step of the targets; what is out of reach for the narrowest widths is out of reach for all.
"""
