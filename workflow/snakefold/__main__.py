"""`python -m snakefold` is the command `snakefold`."""

from snakefold.cli import main

main()
