"""`python -m harness`: the front door. Kept apart from harness.cli so that worker processes can import the task."""

from harness.commands.front import main

if __name__ == "__main__":
    main()
