"""Whether the store works: a blob that is written and read back, and what waits while that fails."""
