"""The engine beside PaddleSlim: same checkpoint, data and seeds, one run."""
