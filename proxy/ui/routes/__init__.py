"""One module a page: its routes, which read, act and choose a template."""
