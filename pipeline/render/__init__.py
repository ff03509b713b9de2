"""From a picture to its sizes."""
