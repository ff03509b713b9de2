"""What a HEIC or AVIF consists of."""
