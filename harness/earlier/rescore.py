"""`python -m harness.rescore`, the earlier spelling of `harness rescore`."""

import sys

from harness.commands.rescore import main as main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
