"""From a file to a picture; what an original is and what it will cost."""
