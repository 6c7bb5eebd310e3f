"""Training by several processes at once: how they find each other, share batches and agree."""
