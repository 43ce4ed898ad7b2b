"""`python -m harness.publish`, the earlier spelling of `harness publish`."""

import sys

from harness.commands.publish import main as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
