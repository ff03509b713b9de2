"""The syntax of keys, and the mapping between the keys of originals and derivatives."""
