"""The W&B server as this process knows it: whether runs can be sent to it, and how W&B is kept from talking."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

Mode = Literal["offline", "online", "disabled"]


def obstacle(patience: int = 5) -> str | None:
    """Why nothing can be sent to the server now; None: it is there and accepts the key."""
    quiet("online")
    return server_of(patience).obstacle


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
def server_of(patience: int) -> Server:
    """Look for a key, and have the server confirm it: once for all runs of a process."""
    import wandb

    server = Server(patience)
    try:
        if not wandb.login(prompt=False, verify=False):
            server.obstacle = "no API key (`wandb login` or WANDB_API_KEY)"
    except wandb.errors.AuthenticationError as error:
        server.obstacle = reason(error)
    if server.obstacle is None and not server.answers():
        url = wandb.setup().settings.base_url
        server.obstacle = f"{url} does not answer, or does not accept the API key"
    return server


def dead_service() -> tuple[type[Exception], ...]:
    """What W&B raises when its service process has died; a new one starts after `wandb.teardown`."""
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

    return ConnectionError, HandleAbandonedError, MailboxClosedError


def quiet(mode: Mode) -> None:
    """No line from W&B itself on stdout or stderr; `mode` prevails over WANDB_MODE."""
    import wandb

    wandb.setup(wandb.Settings(silent=True, mode=mode))


def reason(error: Exception) -> str:
    """Why W&B failed, in one line."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
