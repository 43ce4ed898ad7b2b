"""The survey's ten claims, each beside the verdicts of the published tables that are about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.base.rows import pipes
from harness.tables.document import load


@dataclass(frozen=True)
class Evidence:
    """Where a claim is decided."""

    table: str
    claims: tuple[str, ...] = ()
    """Of the table, as its YAML words them."""
    file: str = ""
    """What else of the table's results says it."""
    picture: str = ""
    """And what shows it."""


CLAIMS: tuple[tuple[str, tuple[Evidence, ...]], ...] = (
    (
        "The larger the batch, the less is recovered",
        (
            Evidence("survey_batch", ("optimisation recovers less as batches grow",), picture="batch.png"),
            Evidence(
                "survey_rtf", ("the more images in a batch, the fewer are alone in their bins",), "report.md"
            ),
        ),
    ),
    (
        "The higher the resolution, the less is recovered",
        (
            Evidence(
                "survey_resolution",
                ("optimisation recovers less as the resolution grows",),
                picture="gallery.png",
            ),
        ),
    ),
    (
        "The deeper the network, the less is recovered",
        (
            Evidence(
                "survey_architecture",
                ("optimisation recovers less as networks get deeper",),
                picture="gallery.png",
            ),
        ),
    ),
    (
        "The better the network is trained, the less is recovered, for gradients get more alike",
        (
            Evidence(
                "survey_training",
                (
                    "optimisation recovers less of a network that is trained, and still less of one that has learnt "
                    "the images",
                ),
                "similarity.md",
                "tsne.png",
            ),
        ),
    ),
    (
        "The more labels of a batch are equal, the less is recovered",
        (
            Evidence(
                "survey_labels",
                ("optimisation recovers less as more labels are equal",),
                "cosines.md",
                "gallery.png",
            ),
        ),
    ),
    (
        "Generators hardly use the gradient; analytic attacks are exact",
        (
            Evidence(
                "survey_ggl",
                (
                    "with one round the gradient makes no difference, as published",
                    "with its own budget GGL uses the gradient (ours)",
                ),
                picture="gallery.png",
            ),
            Evidence(
                "survey_ci_net",
                (
                    "CI-Net relies on a victim with sigmoids",
                    "with a generator that reaches every pixel's value more is recovered (ours)",
                    "batch statistics in the victim give away more than running ones (ours)",
                ),
                picture="gallery.png",
            ),
            Evidence("survey_rtf", (), "report.md"),
        ),
    ),
    (
        "Fine-tuning with LoRA leaks little",
        (
            Evidence(
                "survey_peft",
                (
                    "one image is read off A's gradient once B is not zero, at rank 1 too (ours)",
                    "after two local steps it is read off even though B began at zero (ours)",
                    "on the transformer a drawn B gives away more than B = 0",
                ),
                picture="gallery.png",
            ),
        ),
    ),
    (
        "Defence, first stage: no sigmoids, and deeper networks",
        (
            Evidence(
                "survey_peft", ("sigmoids, which the authors' code puts in place of GELU, give away more",)
            ),
            Evidence("survey_stages", (), "sweep.md"),
        ),
    ),
    (
        "Defence, second stage: more local steps, larger batches; without simulation the attack fails",
        (
            Evidence(
                "survey_fedavg",
                (
                    "to simulate the client's own steps recovers more than to guess them",
                    "without simulation the attack fails, with the sign as published",
                    "without simulation the attack recovers less too, with the sign that descends",
                    "what fails without simulation is the sign (ours)",
                    "more local epochs protect (batches of 8)",
                    "larger batches protect (two epochs)",
                ),
                picture="gallery.png",
            ),
        ),
    ),
    (
        "Defence, third stage: clients that look at what they are sent see malicious servers",
        (Evidence("survey_checks", (), "detection.md"), Evidence("survey_gate", (), "gate.md")),
    ),
)
SHOWN = 3
"""Comparisons of a claim, the others of which stand in its table."""
HEAD = """\
# The survey's ten claims, verdict by verdict

Of Guo et al., "A Deep Dive into Gradient Inversion Attacks in Federated Learning" (arXiv 2503.11514), in our words.
Each verdict is one of the tables in the folders beside this one, which say with how many images, at what budget, and by
which test; claims marked as ours are what the paper does not ask. `python -m harness.papers.survey` writes this page.
"""


def page(results: Path) -> str:
    """README.md of experiments/results/survey, from what is published in `results`."""
    blocks = [HEAD]
    for number, (claim, parts) in enumerate(CLAIMS, 1):
        lines = [line for part in parts for line in _lines(part, results)]
        table = pipes([("measured by", "verdict", "figures"), *lines]) if lines else "Not published yet."
        blocks.append("\n".join([f"## {number}. {claim}\n\n{table}\n", *_pictures(parts, results)]))
    return "\n".join([*blocks, *_families(results)])


def _families(results: Path) -> Iterator[str]:
    """Table I as far as it is published, and where the runs of its pairs are named."""
    for path in sorted((results / "survey_families").glob("*/families.md")):
        where = f"../survey_families/{path.parent.name}"
        yield (
            f"{path.read_text(encoding='utf-8')}\nMeasured by [{path.parent.name}]({where}/table.md); the runs of a "
            f"pair are named in [families.csv]({where}/families.csv), and packed beside it.\n"
        )


def _pictures(parts: Iterable[Evidence], results: Path) -> Iterator[str]:
    """The pictures of a claim, of each table that of the first data set that is published."""
    for part in parts:
        if part.picture and (found := sorted((results / part.table).glob(f"*/{part.picture}"))):
            where = found[0].relative_to(results).as_posix()
            yield f"![{part.table}, {found[0].parent.name}](../{where})\n"


def _lines(part: Evidence, results: Path) -> Iterator[tuple[str, str, str]]:
    for folder in sorted((results / part.table).glob("*")):
        where = f"../{part.table}/{folder.name}"
        document = folder / "document.json"
        if part.claims and document.exists():
            verdicts = {each.text: each for each in load(document.read_text(encoding="utf-8")).verdicts}
            for text in part.claims:
                if text in verdicts:
                    found = verdicts[text]
                    figures = "; ".join(found.figures[:SHOWN]).replace("|", "\\|")
                    if len(found.figures) > SHOWN:
                        figures += f"; {len(found.figures) - SHOWN} more there"
                    yield f"[{folder.name}]({where}/table.md): {text}", f"*{found.said}*", figures
        if part.file and (folder / part.file).exists():
            yield f"[{folder.name}]({where}/{part.file}): {part.table}, {part.file}", "counted there", ""
