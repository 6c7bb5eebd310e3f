"""How a PruningJob looks in a terminal."""
