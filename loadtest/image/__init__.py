"""The built image: how large it is, how fast it starts, whether it does its job where nothing else is."""
