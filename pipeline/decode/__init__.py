"""Decoding of originals: their properties, their pixels, and the memory needed to render them."""
