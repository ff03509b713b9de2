"""The embedded queue, in one SQLite file."""
