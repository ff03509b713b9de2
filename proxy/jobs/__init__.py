"""Jobs: taken in, kept in a queue, worked on, shown."""
