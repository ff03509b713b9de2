"""Reduction of pictures in linear light, by a library in C that is built with the package."""
