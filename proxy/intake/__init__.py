"""What tells the service of originals, or brings them: uploads and events of buckets."""
