"""What a load test starts: the service, its bucket, a receiver of callbacks; with memory limited and measured."""
