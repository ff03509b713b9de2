"""The parts of HTTP that routes share: conditional requests, ranges, streaming, middleware."""
