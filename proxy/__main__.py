"""`python -m proxy`: the same as `gf-images`."""

from proxy.cli.main import main

main()
