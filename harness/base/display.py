"""The columns of the progress display: in a narrow terminal words give way, never the bar, the count or the time."""

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from harness.base.clock import clock, left

BAR = 16
"""Characters of a bar."""


def display() -> Progress:
    """An empty display on stderr, which is gone when it ends."""
    columns = (
        Words("description"),
        BarColumn(BAR, table_column=Column(min_width=BAR, no_wrap=True)),
        Count(),
        Left(),
        Words("postfix"),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


class Words(ProgressColumn):
    """A description or what the newest step brought, cut where there is no room."""

    max_refresh = None

    def __init__(self, name: str) -> None:
        super().__init__(Column(overflow="ellipsis"))
        self._name = name

    def render(self, task: Task) -> RenderableType:
        words = task.description if self._name == "description" else task.fields[self._name]
        return Text(words, no_wrap=True, overflow="ellipsis")


class Count(ProgressColumn):
    """How many steps are finished: those that are under way are in the bar alone."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))

    def render(self, task: Task) -> RenderableType:
        return Text(f"{task.fields['done']}/{task.total:g}")


class Left(ProgressColumn):
    """The time that is left, by all that was done while it was watched."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))

    def render(self, task: Task) -> RenderableType:
        before, total = task.fields["before"], task.total or 0.0
        if task.finished:
            return Text(clock(task.finished_time or 0.0))
        rest = left(task.elapsed or 0.0, task.completed - before, total - before)
        return Text("..." if rest is None else f"{clock(rest)} left")
