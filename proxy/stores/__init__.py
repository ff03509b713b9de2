"""Stores of blobs: files in a folder, a bucket, public HTTP, memory."""
