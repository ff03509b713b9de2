"""The service: HTTP in, keys and bytes in and out of a store, work in between."""
