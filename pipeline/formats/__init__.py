"""File formats: what a file says of itself before a decoder is believed."""
