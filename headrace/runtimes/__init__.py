"""Places that can run a deployment; one file each, unaware of each other."""
