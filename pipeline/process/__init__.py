"""The entry points of the render and compare processes, and their resource limits."""
