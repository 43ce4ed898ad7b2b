"""What libraries raise, in one or two lines."""

import pytest

from harness.base import errors


def test_a_warning_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    errors.warn("mind this")
    assert capsys.readouterr() == ("", "warning: mind this\n")
