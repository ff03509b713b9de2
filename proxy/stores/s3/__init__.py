"""A store in a bucket of S3 or a compatible server."""
