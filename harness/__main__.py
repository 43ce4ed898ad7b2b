"""`python -m harness`: the command line. Kept apart from harness.cli so that worker processes can import the task."""

from harness.cli import main

if __name__ == "__main__":
    main()
