"""A run of W&B while it is open: what of the harness goes where in it, and that no failure of W&B's is the run's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL.Image import Image
from typing_extensions import override

from harness.base.errors import warn
from harness.base.rows import Row
from harness.core import Record
from harness.loggers.logger import LiveSession, News, scores
from harness.loggers.wandb_media import artifact_of, picture_of, staged, table_of
from harness.loggers.wandb_server import Server, dead_service, reason
from harness.store.records import Trace

if TYPE_CHECKING:
    import wandb


class WandbSession(LiveSession):
    """Scores over the image's number, losses and pictures over evaluations, a table of the rows, the picture grid."""

    def __init__(
        self,
        run: "wandb.Run",
        curves: int,
        points: int,
        every: int,
        server: Server | None = None,
        images: Path | None = None,
    ) -> None:
        """`server`: where the run is sent as it goes; None: it is only written down. `images`: the file of
        reconstructions that becomes an artifact; None: none does."""
        super().__init__(every)
        self.run, self.server, self.images = run, server, images
        self.curves = curves
        self.points = points
        self.places: dict[str, int] = {}
        """By series, which of its points was logged last."""
        self.pictures: dict[int, wandb.Image] = {}
        """By problem, how its search ended."""
        for axis in ("step/image", "step/evaluation"):
            run.define_metric(axis, hidden=True, summary="none")
        run.define_metric("image/*", step_metric="step/image", summary="none")
        self.families: set[str] = set()
        self.warned = False
        self.forgets = server is None  # of two offline logs of one id the server keeps the last

    @override
    def follows(self, problem: int) -> bool:
        return problem < self.curves

    @override
    def follow(self, news: News) -> None:
        place = int(news.share * (self.points - 1))
        if news.picture is None and place <= self.places.get(news.series, -1):
            return
        self.places[news.series] = place
        self.heard[news.series] = news.evaluation
        with self._tolerant():
            self._point(news.series, news.evaluation, news.values, news.picture)

    @override
    def picture(self, problem: int, evaluation: int, draw: Callable[[], Image]) -> None:
        if self.follows(problem):
            with self._tolerant():
                drawn = draw()
                self.pictures[problem] = picture_of(drawn)
                self._point(str(problem), evaluation, {}, drawn)

    @override
    def image(self, problem: int, rows: list[Row], trace: Trace) -> None:
        with self._tolerant():
            for place, row in enumerate(rows):
                values = {f"image/{name}": value for name, value in scores(row).items()}
                self.run.log({"step/image": problem * len(rows) + place, **values})
            if self.follows(problem):
                for evaluation, values in self.rest(problem, trace, self.points):
                    self._point(str(problem), evaluation, values)

    def _point(
        self, series: str, evaluation: int, values: dict[str, float], picture: Image | None = None
    ) -> None:
        """One series per problem, `loss/0`, `loss/1`...: across runs the same target is in the same chart."""
        told: dict[str, Any] = dict(values)
        if picture is not None:
            told["reconstruction"] = picture_of(picture)
        for family in told.keys() - self.families:
            self.run.define_metric(f"{family}/*", step_metric="step/evaluation", summary="none")
            self.families.add(family)
        named = {f"{family}/{series}": value for family, value in told.items()}
        self.run.log({"step/evaluation": evaluation, **named})

    @override
    def finish(self, record: Record, gallery: Path | None) -> None:
        with self._tolerant():
            self.run.config["provenance"] = record.provenance
            self.run.summary.update(record.summary)
            if gallery is not None:
                self.run.log({"gallery": picture_of(gallery)})
            if self.server is not None and not self.server.answers():
                self._lose(self.server)
                self._table_alone(record.rows)
            else:
                with staged(Path(self.run.dir).parents[1]):
                    self._artifacts(record)
        self._close(0)

    def _artifacts(self, record: Record) -> None:
        """What W&B makes an artifact of: the table, for its pictures, and the reconstructions."""
        self.run.log({"images": table_of(record.rows, self.pictures)})
        if self.images is not None:
            self.run.log_artifact(artifact_of(record.id, self.images))

    def _table_alone(self, rows: list[Row]) -> None:
        """Without pictures, which need an artifact, for which W&B would wait for the server without end."""
        table = table_of(rows, {})
        table.bind_to_run(self.run, "images", self.run.step)  # type: ignore[no-untyped-call]
        self.run.log({"images": table})

    @override
    def fail(self, message: str) -> None:
        with self._tolerant():
            self.run.summary.update({"error": message})
        self._close(1)

    def _close(self, status: int) -> None:
        with self._tolerant():
            try:
                self.run.finish(exit_code=status)
            except TimeoutError:
                if self.server is not None:
                    self._lose(self.server)
            else:
                self._mark()

    def _lose(self, server: Server) -> None:
        """What the server has not got is on disk, and so will be the logs of the runs to come."""
        logs = Path(self.run.dir).parents[1]
        server.obstacle = f"W&B's server went away during run {self.run.id}"
        if not server.warned:
            warn(f"{server.obstacle}: W&B logs offline in {logs}, `make wandb-sync` sends it later")
        server.warned = True

    def _mark(self) -> None:
        """Beside the log of a run that was sent as it went, in the way that `wandb sync` does."""
        if self.server is not None and self.server.obstacle is None and not self.warned:
            (Path(self.run.dir).parent / f"run-{self.run.id}.wandb.synced").touch()

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        """W&B's service is a process of its own: when it fails, the run and its record must not."""
        import wandb

        failures: tuple[type[Exception], ...] = (wandb.Error, OSError, *dead_service())
        try:
            yield
        except failures as error:
            if not self.warned:
                warn(
                    f"W&B failed ({reason(error)}): the log of run {self.run.id} has gaps, its record has not"
                )
            self.warned = True
