"""The processes that render and compare, within limits of their own."""
