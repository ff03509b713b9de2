"""Job queues: the embedded SQLite queue, and SAQ's queues on Redis and PostgreSQL."""
