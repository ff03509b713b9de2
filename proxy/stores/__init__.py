"""Where bytes live under names."""
