"""Commands over many originals, and what they share."""
