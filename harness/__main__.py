"""`python -m harness`: the front door, apart from what worker processes import."""

from harness.commands.front import main

if __name__ == "__main__":
    main()
