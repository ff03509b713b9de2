"""The forms in which object stores and relays describe events: one module each."""
