"""The facts of originals, for those who sign their requests, and for callbacks."""
