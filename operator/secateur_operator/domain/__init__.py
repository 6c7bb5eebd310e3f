"""What to do next, decided purely: no I/O, clock or randomness in this package."""
