"""Control groups, lock files, scratch space: what the operating system gives."""
