"""How alike gradients are: Table II, Proposition 1 on pairs of images, and Figure 4."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from harness.base.files import write_atomically
from harness.base.numbers import Count
from harness.base.rows import pipes, to_csv
from harness.base.schema import EXPERIMENTS
from harness.core import Batch, Classifier, UserError, component
from harness.core.gradient import gradient
from harness.plots.style import panels, png, series
from harness.runs.clients import Clients, open_targets
from harness.store.records import Store
from harness.tables.measurement import Outcome
from harness.tables.reference import read
from harness.tables.supplement import Supplement

ALIKE = 0.9
"""Cosine from which two gradients count as alike."""


def flat(model: Classifier, batch: Batch) -> Tensor:
    """The gradient of a batch as one vector, in float64."""
    params = {name: value.detach() for name, value in model.named_parameters()}
    return torch.cat([value.flatten() for value in gradient(model, params, batch).values()]).double()


def cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


def states(outcomes: Sequence[Outcome], row: str) -> Iterator[tuple[str, list[Clients]]]:
    """The clients of each column of a row that has runs. Raises UserError for clients in federated rounds."""
    columns = dict.fromkeys(outcome.cell.column for outcome in outcomes if outcome.cell.row == row)
    for column in columns:
        found = []
        for outcome in outcomes:
            if (outcome.cell.row, outcome.cell.column) != (row, column) or outcome.experiment is None:
                continue
            targets = open_targets(outcome.experiment)
            if not isinstance(targets, Clients):
                raise UserError(f"{row} x {column}: gradients are compared of clients without rounds")
            found.append(targets)
        yield column, found


@component
class BatchCosines(Supplement):
    """cosines.csv and cosines.md (Guo et al. 2025, Table II): the gradient of a client's batch beside that of its first
    image alone, and where all labels are equal beside those of the others."""

    reference: str
    """The published cosines; relative to experiments/."""
    row: str

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        published = read(EXPERIMENTS / self.reference)["CIFAR-10"]
        lines: list[tuple[object, ...]] = []
        for column, several in states(outcomes, self.row):
            alike = several[0].experiment.alike or 1
            size = several[0].size
            for place in range(size if alike == size else 1):
                found = [value for targets in several for value in self._cosines(targets, place)]
                where = f"batch of {size} with {alike} equal labels"
                theirs = published.get((f"image {place + 1} alone", where, "gradient_cosine"))
                lines.append((column, place + 1, len(found), fmean(found), min(found), max(found), theirs))
        names = ("column", "image", "clients", "mean", "least", "most", "published")
        write_atomically(directory / "cosines.csv", to_csv([names, *lines]).encode())
        shown = [
            (str(c), str(i), str(n), f"{m:.4f}", f"{lo:.4f} to {hi:.4f}", "" if p is None else f"{p:.4f}")
            for c, i, n, m, lo, hi, p in lines
        ]
        head = ("equal labels", "image alone", "clients", "mean cosine", "range", "published")
        text = f"## Cosine of the batch's gradient with that of an image alone (Table II)\n\n{pipes([head, *shown])}\n"
        write_atomically(directory / "cosines.md", text.encode())

    def _cosines(self, targets: Clients, place: int) -> list[float]:
        found = []
        for position in range(targets.trials):
            client = targets.client(position)
            model, truth = client.problem.observation.model, client.truth
            one = Batch(truth.x[place : place + 1], truth.y[place : place + 1])
            found.append(cosine(flat(model, truth), flat(model, one)))
        return found


@component
class PairwiseCosines(Supplement):
    """similarity.csv, similarity.md and tsne.png (Guo et al. 2025, Proposition 1 and Figure 4): the gradients of pairs
    of single images under each state of the network, and their picture by t-SNE on 1 - cos."""

    row: str
    images: Count = 40

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        shown = {column: self._gradients(several[0]) for column, several in states(outcomes, self.row)}
        if not shown:
            return
        lines = [(column, *described(vectors)) for column, (vectors, _) in shown.items()]
        names = ("state", "images", "mean_cosine", "median_cosine", "alike", "mean_distance")
        write_atomically(directory / "similarity.csv", to_csv([names, *lines]).encode())
        told = [
            (str(c), str(n), f"{mean:.3f}", f"{median:.3f}", f"{share:.1%}", f"{far:.3g}")
            for c, n, mean, median, share, far in lines
        ]
        head = ("network", "images", "mean cosine", "median", f"pairs with cosine > {ALIKE}", "mean distance")
        text = (
            "## Gradients of pairs of single images (Proposition 1)\n\n"
            "The proposition: images are the harder to recover, the more pairs have gradients within some distance.\n"
            f"\n{pipes([head, *told])}\n\n![Gradients by t-SNE, a colour for each class](tsne.png)\n"
        )
        write_atomically(directory / "similarity.md", text.encode())
        write_atomically(directory / "tsne.png", picture(shown))

    def _gradients(self, targets: Clients) -> tuple[Tensor, Tensor]:
        """The gradients [n, parameters] of the first images, and their labels."""
        rows = targets.order[: self.images]
        pairs = [targets.images[row] for row in rows]
        model = targets.network(0)
        vectors = [
            flat(model, Batch(x[None].to(targets.device), torch.tensor([y]).to(targets.device)))
            for x, y in pairs
        ]
        return torch.stack(vectors).cpu(), torch.tensor([y for _, y in pairs])


def cosines(vectors: Tensor) -> Tensor:
    """Of all pairs of vectors [n, d], [n, n]; an image without a gradient is like none."""
    unit = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-300)
    found: Tensor = unit @ unit.T
    return found


def described(vectors: Tensor) -> tuple[int, float, float, float, float]:
    """How many vectors there are; of their pairs the mean and the median cosine, the share of the alike, and the mean
    distance."""
    upper = torch.triu_indices(len(vectors), len(vectors), 1)
    found = cosines(vectors)[upper[0], upper[1]]
    far = torch.pdist(vectors)
    return (
        *(len(vectors), float(found.mean()), float(found.median())),
        *(float((found > ALIKE).double().mean()), float(far.mean())),
    )


def picture(shown: dict[str, tuple[Tensor, Tensor]]) -> bytes:
    """A panel for each state of the network."""
    from sklearn.manifold import TSNE

    figure, places = panels(len(shown), "Gradients of single images, t-SNE on 1 - cosine")
    for axes, (name, (vectors, labels)) in zip(places, shown.items(), strict=True):
        far = (1 - cosines(vectors)).clamp_min(0).fill_diagonal_(0).numpy()
        spread = min(10.0, max(1.0, (len(vectors) - 1) / 3))
        at = TSNE(metric="precomputed", init="random", perplexity=spread, random_state=0).fit_transform(far)
        kinds = labels.unique().tolist()
        for kind, look in zip(kinds, series(len(kinds)), strict=True):
            own = (labels == kind).numpy()
            axes.scatter(at[own, 0], at[own, 1], color=look.colour, marker=look.marker, s=18)
        axes.set(xlabel=name, xticks=[], yticks=[])
    return png(figure)
