"""Weights & Biases, offline unless asked otherwise: one W&B run per run of the harness, under the same id.

`wandb leet <runs>/wandb` shows the runs in the terminal, `wandb beta sync <runs>/wandb` sends them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL.Image import Image
from pydantic import Field, ValidationError
from typing_extensions import override

from harness.base.errors import warn
from harness.base.numbers import Count, Natural
from harness.base.rows import Row
from harness.core import Record, UserError, component
from harness.loggers.logger import LiveLogger, LiveSession, News, RunInfo, Session, scores
from harness.store.records import Trace

if TYPE_CHECKING:
    import wandb

Mode = Literal["offline", "online", "disabled"]

UPLOAD_SECONDS = 120
"""How long a finished online run may go on sending before it is left to `make wandb-sync`."""
LONGEST_TAG = 64
"""W&B refuses a run with a longer one, such as the name of a wordy column."""


@component
class Wandb(LiveLogger):
    """Log to `<runs>/wandb`, and to the server if `mode` says so and the server is there.

    `mode` decides, whatever WANDB_MODE says. The server, the account and the key come from W&B's own places
    (WANDB_BASE_URL, WANDB_ENTITY, WANDB_API_KEY, `wandb login`) and are never written to a record.
    """

    mode: Mode = "offline"
    project: str = Field(default="harness", pattern=r"^[^/\\#?%:]{1,128}$")
    """Without the signs that W&B refuses."""
    entity: str | None = None
    """The account or team; null: the key's own."""
    curves: Natural = 16
    """Searches for the first so many problems are followed, with their curves and pictures; the run's traces.jsonl has
    all curves."""
    points: Count = Field(default=100, ge=2)
    """At most so many points per curve."""
    patience: Count = 5
    """Seconds to wait for the server before the run is logged offline."""

    @override
    def open(self, run: RunInfo) -> Session:
        if self.mode == "disabled":
            return Session()
        import wandb

        run.runs.mkdir(parents=True, exist_ok=True)
        try:
            return self._start(run)
        except _dead_service():
            with suppress(*_dead_service()):
                wandb.teardown()
            return self._start(run)
        except ValidationError as error:
            first = error.errors()[0]
            where = "_".join(str(part) for part in first["loc"]).upper()
            raise UserError(
                f"logger=wandb: $WANDB_{where}: {first['msg']}, not {first['input']!r:.80}"
            ) from error
        except (wandb.Error, ValueError) as error:
            remedy = "see the WANDB_ variables, or say logger=none"
            raise UserError(
                f"logger=wandb: W&B refuses its settings ({_first_line(error)}): {remedy}"
            ) from error

    def _start(self, run: RunInfo) -> "WandbSession":
        _quiet(self.mode)
        online = self._online(run) if self.mode == "online" else None
        return online or self._session(self._init(run, "offline"))

    def _session(self, run: "wandb.Run", server: "Server | None" = None) -> "WandbSession":
        return WandbSession(run, self.curves, self.points, self.every, server)

    def _online(self, run: RunInfo) -> "WandbSession | None":
        """A session that is sent as it goes; None, after one warning, when that can't be."""
        import wandb

        server = _server(self.patience)
        if server.obstacle is None:
            try:
                return self._session(self._init(run, "online"), server)
            except wandb.Error as error:
                server.obstacle = _first_line(error)
                wandb.teardown()  # else the service refuses a second run of the same id
                _quiet("offline")
        if not server.warned:
            server.warned = True
            warn(f"{server.obstacle}: W&B logs offline in {run.runs}/wandb, `make wandb-sync` sends it later")
        return None

    def _init(self, run: RunInfo, mode: Mode) -> "wandb.Run":
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_code=True,  # a commit and a remote, but no patch of what is not committed
            allow_val_change=True,
            init_timeout=2 * self.patience,
            finish_timeout=UPLOAD_SECONDS,
            finish_timeout_raises=True,
            x_transaction_log_flush_interval=1.0,  # what a kill may cost, in seconds
        )
        return wandb.init(
            project=self.project,
            entity=self.entity,
            id=run.id,
            resume="allow",
            reinit="create_new",
            dir=run.runs,
            mode=mode,
            config=run.config,
            group=run.group,
            job_type=run.job_type,
            name=run.name or run.id,
            tags=[tag[:LONGEST_TAG] for tag in run.tags if tag],
            settings=settings,
        )


class WandbSession(LiveSession):
    """Scores over the image's number, losses and pictures over evaluations, a table of the rows, the picture grid."""

    def __init__(
        self, run: "wandb.Run", curves: int, points: int, every: int, server: "Server | None" = None
    ) -> None:
        """`server`: where the run is sent as it goes; None: it is only written down."""
        super().__init__(every)
        self.run, self.server = run, server
        self.curves = curves
        self.points = points
        self.places: dict[str, int] = {}
        """By series, which of its points was logged last."""
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
                self._point(str(problem), evaluation, {}, draw())

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
            told["reconstruction"] = _picture(picture)
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
                self.run.log({"gallery": _picture(gallery)})
            table = _table(record.rows)
            if self.server is not None and not self.server.answers():
                self._lose(self.server)
                # Else W&B makes an artifact of the table, and waits for the server without end.
                table.bind_to_run(self.run, "images", self.run.step)  # type: ignore[no-untyped-call]
            self.run.log({"images": table})
        self._close(0)

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

    def _lose(self, server: "Server") -> None:
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

        failures: tuple[type[Exception], ...] = (wandb.Error, OSError, *_dead_service())
        try:
            yield
        except failures as error:
            if not self.warned:
                warn(
                    f"W&B failed ({_first_line(error)}): the log of run {self.run.id} has gaps, its record has not"
                )
            self.warned = True


def _table(rows: list[Row]) -> "wandb.Table":
    """The rows as they are, scalars only: a picture inside a table would be lost offline."""
    import wandb

    columns = {name: None for row in rows for name in row}
    data: list[Iterable[Any]] = [[row.get(name) for name in columns] for row in rows]
    return wandb.Table(columns=[*columns], data=data, allow_mixed_types=True)


def _picture(picture: Image | Path) -> "wandb.Image":
    import wandb

    return wandb.Image(str(picture) if isinstance(picture, Path) else picture)


def obstacle(patience: int = 5) -> str | None:
    """Why nothing can be sent to the server now; None: it is there and accepts the key."""
    _quiet("online")
    return _server(patience).obstacle


@dataclass
class Server:
    """What this process knows of the W&B server. The first obstacle ends its attempts to log online."""

    patience: int
    obstacle: str | None = None
    warned: bool = False

    def answers(self) -> bool:
        """Whether it is there now, and accepts the key."""
        import wandb

        try:
            wandb.Api(timeout=self.patience)
        except wandb.Error:
            return False
        return True


@cache
def _server(patience: int) -> Server:
    """Look for a key, and have the server confirm it: once for all runs of a process."""
    import wandb

    server = Server(patience)
    try:
        if not wandb.login(prompt=False, verify=False):
            server.obstacle = "no API key (`wandb login` or WANDB_API_KEY)"
    except wandb.errors.AuthenticationError as error:
        server.obstacle = _first_line(error)
    if server.obstacle is None and not server.answers():
        url = wandb.setup().settings.base_url
        server.obstacle = f"{url} does not answer, or does not accept the API key"
    return server


def _dead_service() -> tuple[type[Exception], ...]:
    """What W&B raises when its service process has died; a new one starts after `wandb.teardown`."""
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

    return ConnectionError, HandleAbandonedError, MailboxClosedError


def _quiet(mode: Mode) -> None:
    """No line from W&B itself on stdout or stderr; `mode` prevails over WANDB_MODE."""
    import wandb

    wandb.setup(wandb.Settings(silent=True, mode=mode))


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
