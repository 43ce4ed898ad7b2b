"""`python -m harness.plot`, the earlier spelling of `harness plot`."""

import sys

from harness.commands.plot import main as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
