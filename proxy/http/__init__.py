"""The HTTP interface: translates requests into calls of the service, and results into responses."""
