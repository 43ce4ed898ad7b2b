"""The name under which scripts and notebooks know `run`."""

from harness.runs.run import run as run
