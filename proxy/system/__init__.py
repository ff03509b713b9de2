"""Resources of the operating system: control groups, lock files and scratch space."""
