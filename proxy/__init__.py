"""The service: HTTP in, keys and bytes in and out of a store, work in between."""

SUMMARY = (
    "An image service for sites with photographs: it renders each in several sizes, without its metadata, after a "
    "signed webhook or on the first page view."
)
"""What this is, in the one sentence that every introduction begins with."""
