"""What whole processes take."""

import pytest

from harness.bench.report import FIGURES
from harness.bench.startup import COMMANDS, cpu_seconds


def test_a_process_that_works_longer_takes_more() -> None:
    short, long = (
        cpu_seconds(["-c", f"import time\nwhile time.process_time() < {least}: pass"], 0)
        for least in (0.05, 0.4)
    )
    assert 0.05 <= short < long
    assert long >= 0.4


def test_a_command_that_ends_otherwise_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="ended with 3: too bad"):
        cpu_seconds(["-c", "import sys; sys.stderr.write('too bad'); sys.exit(3)"], 0)


def test_every_command_has_a_figure() -> None:
    assert COMMANDS.keys() <= FIGURES.keys()
