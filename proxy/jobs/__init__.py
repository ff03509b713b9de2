"""Jobs: submission, execution by workers, and status."""
