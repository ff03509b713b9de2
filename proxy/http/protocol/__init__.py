"""What HTTP itself asks for: conditional requests, ranges, streaming, middleware."""
