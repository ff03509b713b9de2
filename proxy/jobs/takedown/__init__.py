"""What jobs know of originals that were taken down."""
