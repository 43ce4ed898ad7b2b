"""How fast the store is read: ten thousand synthetic runs, as the real ones lie on disk."""

import copy
import tempfile
from pathlib import Path
from typing import Any

from harness.bench.report import BenchResult
from harness.bench.timing import Stopwatch
from harness.config.composition import compose
from harness.store.integrity import RESULT, ROWS, dump, seals
from harness.store.journal import encode
from harness.store.records import Store, summarise

RECORDS, IMAGES = 10_000, 4


def measure(_: int) -> list[BenchResult]:
    """The time from a directory of runs to one pandas table."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), RECORDS)
        store = Store(Path(folder))
        store.frame([])  # imports
        with Stopwatch() as framed:
            table = store.frame()
        with Stopwatch() as loaded:
            records = store.records()
    details: dict[str, float | str] = {
        "records": len(records),
        "images": len(table),
        "columns": len(table.columns),
        "records per second, frame": len(records) / framed.seconds,
        "records per second, records": len(records) / loaded.seconds,
        "CPU s, records": loaded.seconds,
    }
    return [BenchResult("store", framed.seconds, details)]


def write(root: Path, count: int) -> None:
    """Write `count` finished runs of IMAGES images each, without pictures: nothing but what is queried."""
    config = compose("attack=ig", "labels@attack.labels=llg_star", "fl=fedavg", "logger=none").config
    origin = {"git": "0" * 40, "python": "3.11", "versions": {"torch": "2"}, "device": "cpu", "seconds": 1.0}
    for place in range(count):
        rows = [_row(place, image) for image in range(IMAGES)]
        result = {
            "id": f"{place:012x}",
            "config": _varied(config, place),
            "summary": summarise(rows),
            "provenance": origin,
        }
        directory = root / f"{place:012x}"
        directory.mkdir()
        (directory / ROWS).write_bytes(encode(rows))
        (directory / RESULT).write_bytes(dump(result, seals(directory)))


def _varied(config: dict[str, Any], place: int) -> dict[str, Any]:
    """The configuration of one run of a sweep over attacks, batch sizes and seeds."""
    varied = copy.deepcopy(config)
    varied["choices"]["attack"] = ("dlg", "idlg", "ig", "gi")[place % 4]
    varied["fl"]["batch_size"] = 2 ** (place // 4 % 4)
    varied["seed"] = place
    return varied


def _row(place: int, image: int) -> dict[str, Any]:
    value = (place * 7 + image) % 100 / 100
    scores: dict[str, Any] = {
        "mse": value,
        "mse_ggl": 4 * value,
        "psnr_unit": 40 * value,
        "psnr_ggl": 40 * value - 6.0206,
    }
    scores |= {"ssim": value, "mse_r": value**2, "lpips_vgg": None, "lpips_alex": None, "lpips_squeeze": None}
    labels = {"label": image, "label_inferred": image, "label_correct": True, "exact": False}
    course: dict[str, Any] = {
        "loss": value**3,
        "iterations": 100,
        "evaluations": 100,
        "seconds": 0.1234567890123,
    }
    course |= {"converged": False, "iterations_to_converge": None, "status": "budget", "update_norm": 1.25}
    return {"target": place % 50 + image, **labels, **scores, "success": value < 0.1, **course,
            "problem": 0, "image": image}  # fmt: skip
