"""Old derivatives held against new ones: what differs, and for what cause."""
