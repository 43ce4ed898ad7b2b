"""Weights & Biases, offline unless asked otherwise: one W&B run per run of the harness, under the same id.

`wandb leet <runs>/wandb` shows the runs in the terminal, `wandb beta sync <runs>/wandb` sends them.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError
from typing_extensions import override

from harness.base.errors import warn
from harness.base.numbers import Count, Natural
from harness.core import UserError, component
from harness.loggers.logger import LiveLogger, RunInfo, Session
from harness.loggers.wandb_server import Mode, Server, dead_service, quiet, reason, server_of
from harness.loggers.wandb_session import WandbSession
from harness.store.integrity import IMAGES

if TYPE_CHECKING:
    import wandb

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
    points: Count = Field(default=32, ge=2)
    """At most so many points per curve: each costs a millisecond, all of them 1 % of an image of some seconds."""
    patience: Count = 5
    """Seconds to wait for the server before the run is logged offline."""
    artifacts: bool = False
    """Whether the reconstructions are logged too, as an artifact: all of them, with the truths, in safetensors."""

    @override
    def open(self, run: RunInfo) -> Session:
        if self.mode == "disabled":
            return Session()
        import wandb

        run.runs.mkdir(parents=True, exist_ok=True)
        try:
            return self._start(run)
        except dead_service():
            with suppress(*dead_service()):
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
            raise UserError(f"logger=wandb: W&B refuses its settings ({reason(error)}): {remedy}") from error

    def _start(self, run: RunInfo) -> WandbSession:
        quiet(self.mode)
        online = self._online(run) if self.mode == "online" else None
        return online or self._session(run, self._init(run, "offline"))

    def _session(self, run: RunInfo, opened: "wandb.Run", server: Server | None = None) -> WandbSession:
        images = run.directory / IMAGES if self.artifacts else None
        return WandbSession(opened, self.curves, self.points, self.every, server, images)

    def _online(self, run: RunInfo) -> WandbSession | None:
        """A session that is sent as it goes; None, after one warning, when that can't be."""
        import wandb

        server = server_of(self.patience)
        if server.obstacle is None:
            try:
                return self._session(run, self._init(run, "online"), server)
            except wandb.Error as error:
                server.obstacle = reason(error)
                wandb.teardown()  # else the service refuses a second run of the same id
                quiet("offline")
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
