"""`python -m harness.verify`, the earlier spelling of `harness verify`."""

import sys

from harness.commands.verify import main as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
