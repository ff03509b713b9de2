"""A stranger with a stopwatch: talks HTTP to the service, imports nothing of it."""
