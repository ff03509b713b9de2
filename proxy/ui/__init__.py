"""Pages for operators and editors: drop photographs, follow jobs, look at pictures, see the state of the service."""
