"""The application: builds, starts and stops every component in order."""
