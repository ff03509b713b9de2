"""Load tests of the service from outside: they use its HTTP interface and import none of its code."""
