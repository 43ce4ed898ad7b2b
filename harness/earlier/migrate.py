"""`python -m harness.migrate`, the earlier spelling of `harness migrate`."""

import sys

from harness.commands.migrate import main as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
