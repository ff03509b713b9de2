"""`python -m proxy`: the same as `gf-images`."""

from proxy.cli import main

main()
