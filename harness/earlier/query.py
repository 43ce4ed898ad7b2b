"""`python -m harness.query`, the earlier spelling of `harness query`."""

import sys

from harness.commands.query import main as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
