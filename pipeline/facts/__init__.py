"""The metadata of originals: when, where and with what a photograph was taken, and its rights."""
