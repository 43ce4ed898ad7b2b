"""A table as LaTeX with booktabs."""

from harness.tables.document import Document
from harness.tables.view import Section, Shown

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}",
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "∈": r"$\in$", "∉": r"$\notin$", "≥": r"$\geq$", "≤": r"$\leq$",
    "→": r"$\to$", "\n": " ",
}  # fmt: skip


def latex(document: Document) -> str:
    """table.tex: a `table*` with one block of rows per metric; needs the package booktabs."""
    width = len(document.columns)
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table*}",
        "\\centering",
        f"\\caption{{{escape(' '.join([document.title + '.', *document.caption]))}}}",
        f"\\begin{{tabular}}{{l{'c' * width}}}",
        "\\toprule",
        " & ".join(["", *map(escape, document.columns)]) + r" \\",
    ]
    for section in document.sections:
        lines += ["\\midrule", *_block(section, width)]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table*}", *_comments(document)]) + "\n"


def _block(section: Section, width: int) -> list[str]:
    arrow = r"$\uparrow$" if section.metric.higher_is_better else r"$\downarrow$"
    title = rf"\multicolumn{{{width + 1}}}{{l}}{{\emph{{{escape(section.metric.title)}}} {arrow}}} \\"
    return [title, *(" & ".join([escape(name), *map(_cell, cells)]) + r" \\" for name, cells in section.rows)]


def _cell(shown: Shown) -> str:
    mean = rf"\textbf{{{shown.mean}}}" if shown.best else escape(shown.mean)
    std = rf" $\pm$ {shown.std}" if shown.std else ""
    return mean + std + (f" ({escape(shown.paper)})" if shown.published else "")


def _comments(document: Document) -> list[str]:
    claims = [f"{v.said}: {v.text} [{'; '.join(v.figures)}]" for v in document.verdicts]
    return [f"% {line}".replace("\n", " ") for line in [*document.notes, *claims]]


def escape(text: str) -> str:
    """Text in which no sign means anything to LaTeX."""
    return "".join(_SIGNS.get(sign, sign) for sign in text)
