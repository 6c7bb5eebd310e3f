"""A cluster that falls apart meanwhile: what is disruptive to everything on it, one test at a time."""
