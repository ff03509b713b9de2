"""libvips set up, colour, transfer curves, metadata."""
