"""A store whose originals are read over public HTTP."""
