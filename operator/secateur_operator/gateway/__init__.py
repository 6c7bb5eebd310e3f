"""The one door to the world that holds PruningJobs and runs their Jobs."""
