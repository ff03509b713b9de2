"""What comes in besides jobs: uploads and events of buckets."""
