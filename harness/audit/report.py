"""The report of an audit: one page for people, one JSON for programs."""

import base64
import io
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.audit.attempts import AuditedAttack
from harness.audit.audit import Audit
from harness.audit.exact import Exact
from harness.audit.labels import Counted, share_right
from harness.audit.truth import images_of, input_errors, scored
from harness.base.files import to_json, write_atomically
from harness.base.statistics.intervals import bootstrap
from harness.base.templates import environment
from harness.base.threat import MEANING
from harness.core import Batch
from harness.store.provenance import dated, provenance

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 16
"""Images of one attack that the page shows, the best first where the truth is known."""
FEWEST = 5
"""Images of which an interval is given."""
LIMITS = (
    "What is not found here may be found by another attack: the verdict is about the attacks that were run.",
    "A picture that explains the update better than others need not be like the client's: a search lowers just that.",
    "The recipe is believed where the checks do not refute it.",
    "One update was looked at; several of one client together may give away more.",
)


@dataclass(frozen=True)
class Picture:
    """A PNG as text, and what stands below it."""

    data: str
    caption: str


def write(audit: Audit, folder: Path, images: bool) -> Path:
    """Write report.json and index.html. Returns the page; raises UserError where nothing can be written."""
    content = told(audit)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "report.json", (to_json(content, indent=1) + "\n").encode())
    pictures = {each.name: _pictures(audit, each) for each in _all(audit)} if images else {}
    page = (
        environment(TEMPLATES)
        .get_template("report.html")
        .render(content=content, pictures=pictures, meaning=MEANING, limits=LIMITS, images=images)
    )
    write_atomically(folder / "index.html", page.encode())
    return folder / "index.html"


def told(audit: Audit) -> dict[str, Any]:
    """What report.json holds."""
    case = audit.case
    recipe = asdict(case.recipe)
    return {
        "verdict": audit.verdict,
        "threat": audit.threat,
        "recipe": {name: value for name, value in recipe.items() if value is not None},
        "notes": case.notes,
        "public": 0 if case.public is None else len(case.public),
        "checks": [asdict(each) for each in audit.checks],
        "labels": [_rule(each, audit.truth, case.classes) for each in audit.labels.found],
        "label_verdict": audit.labels.verdict,
        "attacks": [_attack(audit, each) for each in _all(audit)],
        "conditions": [asdict(each) for each in audit.conditions],
        "limits": list(LIMITS),
        "sha256": case.digests,
        "seconds": round(audit.seconds, 1),
        "provenance": provenance(torch.device("cpu")) | dated(),
    }


def _all(audit: Audit) -> list[Exact | AuditedAttack]:
    return [*audit.exact, *audit.attempts]


def _rule(found: Counted, truth: Batch | None, classes: int) -> dict[str, Any]:
    counts = None if found.counts is None else found.counts.tolist()
    line = {"rule": found.rule, "counts": counts, "reason": found.reason, "seconds": round(found.seconds, 2)}
    if truth is not None and found.counts is not None and bool((truth.y >= 0).all()):
        line["right"] = share_right(found.counts, torch.bincount(truth.y, minlength=classes))
    return line


def _attack(audit: Audit, found: Exact | AuditedAttack) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": found.name,
        "status": found.status,
        "reason": found.reason,
        "seconds": round(found.seconds, 2),
    }
    if isinstance(found, AuditedAttack) and found.losses:
        line["losses"] = found.losses
    if isinstance(found, Exact) and found.inputs is not None:
        line["recovered"] = len(found.inputs)
        if found.labels is not None:
            line["labels"] = found.labels.tolist()
    if audit.truth is not None:
        images = images_of(found, audit.case.model, audit.case.recipe.input)
        if images is not None:
            line |= quality(scored(images, audit.truth)[0])
        elif isinstance(found, Exact) and found.inputs is not None:
            line["relative_error"] = input_errors(found, audit.case.model, audit.truth)
    return line


def quality(psnr: list[float | None]) -> dict[str, Any]:
    """The PSNR of each true image and their mean, with its 95 % interval from five images on."""
    found = [value for value in psnr if value is not None]
    line: dict[str, Any] = {"psnr": psnr}
    if found:
        line["mean_psnr"] = round(sum(found) / len(found), 2)
    if len(found) >= FEWEST:
        line["interval"] = [round(end, 2) for end in bootstrap(found)]
    return line


def _pictures(audit: Audit, found: Exact | AuditedAttack) -> list[Picture]:
    images = images_of(found, audit.case.model, audit.case.recipe.input)
    if images is None:
        return []
    if audit.truth is None:
        return [Picture(_png(image), "") for image in images[:SHOWN]]
    psnr, behind = scored(images, audit.truth)
    quality = [psnr[place] if place >= 0 else -math.inf for place in behind.tolist()]
    ranked = sorted(range(len(images)), key=lambda k: -(quality[k] or 0.0))
    shown = []
    for k in ranked[:SHOWN]:
        place = int(behind[k])
        pair = [images[k]] if place < 0 else [images[k], audit.truth.x[place]]
        caption = "none of the truth" if place < 0 else f"{psnr[place]} dB, the truth beside it"
        shown.append(Picture(_png(torch.cat([each.float() for each in pair], dim=2)), caption))
    return shown


def _png(image: Tensor) -> str:
    from PIL import Image

    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3]).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
