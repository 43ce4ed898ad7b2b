"""`python -m harness.data`, the earlier spelling of `harness data`."""

import sys

from harness.commands.data import main as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
