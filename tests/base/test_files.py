"""Names of files."""

from harness.base.files import slug


def test_a_files_name_is_made_of_what_somebody_called_something() -> None:
    assert slug("Soteria 60 %") == "soteria-60"
