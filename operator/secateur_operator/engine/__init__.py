"""The machinery around ``decide``: work queue, reconciler, loop."""
