"""What pages show, read from the services and put in the words of the page."""
