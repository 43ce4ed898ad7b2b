from pathlib import Path

from harness.base.rows import parse_csv, pipes, read_csv, to_csv


def test_csv_reads_back_and_holds_no_formula(tmp_path: Path) -> None:
    text = to_csv([("name", "value"), ("a, b", None), ("=1+1", -0.5), ("two\nlines", "-1e-3")])
    path = tmp_path / "rows.csv"
    path.write_text(text)
    assert read_csv(path) == parse_csv(text)
    assert [tuple(line.values()) for line in parse_csv(text)] == [
        ("a, b", ""),
        ("'=1+1", "-0.5"),
        ("two\nlines", "-1e-3"),
    ]


def test_a_pipe_table_has_a_rule_below_its_head() -> None:
    assert pipes(iter([["", "a"], ["b", "1"]])) == "| | a |\n|---|---|\n| b | 1 |"
