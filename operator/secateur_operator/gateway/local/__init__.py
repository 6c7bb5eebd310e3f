"""A cluster of one: resources in a folder, Jobs as child processes on this machine."""
