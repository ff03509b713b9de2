"""The application: every component constructed, started and stopped in order."""
