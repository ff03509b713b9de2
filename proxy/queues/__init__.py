"""Where jobs wait: the embedded queue, and the way to SAQ's own."""
