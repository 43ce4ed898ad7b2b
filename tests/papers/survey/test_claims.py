"""The page of the ten claims, and what it is rendered from."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from harness.base.schema import EXPERIMENTS
from harness.papers.survey.claims import CLAIMS, page


def test_every_claim_is_one_of_a_table() -> None:
    assert len(CLAIMS) == 10
    for _, parts in CLAIMS:
        for part in parts:
            kind = "sweep" if part.table == "survey_stages" else "table"
            path = EXPERIMENTS / kind / f"{part.table}.yaml"
            node: Any = OmegaConf.to_container(OmegaConf.load(path))
            texts = {each["text"] for each in node["hydra"]["sweeper"].get("claims", [])}
            assert set(part.claims) <= texts
            assert part.claims or part.file


def test_the_page_is_what_is_published() -> None:
    results = EXPERIMENTS / "results"
    written = (results / "survey" / "README.md").read_text()
    assert written == page(results), "python -m harness.papers.survey"


def test_what_is_not_published_is_said(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert text.count("Not published yet.") == 10


def test_table_one_stands_below_the_claims(tmp_path: Path) -> None:
    folder = tmp_path / "survey_families" / "digits32-small"
    folder.mkdir(parents=True)
    (folder / "families.md").write_text("## Which factors\n\n| IG | yes |\n")
    text = page(tmp_path)
    assert text.index("## 10.") < text.index("## Which factors") < text.index("digits32-small/families.csv")
