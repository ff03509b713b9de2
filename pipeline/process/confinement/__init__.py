"""The sandbox of a process that opens originals: its own folder, and the system calls that decoding needs."""
