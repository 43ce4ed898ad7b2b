"""Markdown is shown as what it says, its tags are text, its links lead to pages of the site."""

import pytest

from harness.report.texts import render


def test_tables_and_emphasis_are_html_and_tags_are_text() -> None:
    html = render(
        "# A\n\n| *a* | b |\n|---|---|\n| 1 | <script>alert(1)</script> |\n\n<img src=x onerror=alert(1)>"
    )
    assert "<h1>A</h1>" in html
    assert "<th><em>a</em></th>" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<img" not in html


def test_no_link_runs_a_script() -> None:
    assert "href" not in render("[a](javascript:alert(1)) [b](vbscript:x) [c](data:text/html,x)")


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("mnist-medium/report.md", "mnist-medium/index.html"),
        ("README.md", "index.html"),
        ("../bench.md", "../bench.html"),
        ("figure3.png", "figure3.png"),
        ("https://example.org/README.md", "https://example.org/README.md"),
    ],
)
def test_links_to_texts_lead_to_their_pages(link: str, leads: str) -> None:
    assert f'href="{leads}"' in render(f"[text]({link})")
