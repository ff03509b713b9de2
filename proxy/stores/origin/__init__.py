"""A store that reads over public HTTP."""
