"""``python -m headrace``: the command line."""

from headrace.cli.app import main

main()
