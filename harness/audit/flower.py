"""Record what Flower's clients receive and send, as files for `harness audit`: at the client, or at the server.

Needs flwr >= 1.42, in an environment that may be another than the harness's.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

Arrays = Mapping[str, Any]
Mod = Callable[[Message, Context, Callable[[Message, Context], Message]], Message]
KNOWN = {"num-examples": "examples", "lr": "lr", "batch-size": "batch_size", "local-epochs": "epochs"}
"""Of Flower's usual names in records, the keys of a recipe that they stand for."""


def record_updates(folder: str | Path) -> Mod:
    """A mod of a ClientApp that writes an npz of every training: `ClientApp(mods=[record_updates("updates")])`."""

    def mod(message: Message, context: Context, call_next: Callable[[Message, Context], Message]) -> Message:
        if not message.metadata.message_type.startswith("train"):
            return call_next(message, context)
        before = _arrays(message.content)
        facts = _facts(message.content)
        reply = call_next(message, context)
        if not reply.has_error():
            name = (context.run_id, _round(message.content), context.node_id)
            _write(Path(folder), name, before, reply.content, facts)
        return reply

    return mod


class Recorded(Strategy):
    """A strategy that does as another, and writes an npz of every update that comes back."""

    def __init__(self, strategy: Strategy, folder: Path) -> None:
        self.strategy, self.folder = strategy, folder
        self.sent: dict[int, tuple[int, Arrays, dict[str, Any]]] = {}
        """Of each node, the round, and what it was sent."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As the other strategy; what each node is sent is remembered."""
        messages = list(self.strategy.configure_train(server_round, arrays, config, grid))
        for message in messages:
            sent = (server_round, _arrays(message.content), _facts(message.content))
            self.sent[message.metadata.dst_node_id] = sent
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """As the other strategy, once every reply is written."""
        received = list(replies)
        for reply in received:
            node = reply.metadata.src_node_id
            if not reply.has_error() and node in self.sent:
                number, before, facts = self.sent[node]
                _write(self.folder, (reply.metadata.run_id, number, node), before, reply.content, facts)
        return self.strategy.aggregate_train(server_round, received)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As the other strategy."""
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """As the other strategy."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """As the other strategy."""
        self.strategy.summary()


def recorded(strategy: Strategy, folder: str | Path) -> Recorded:
    """A strategy whose updates are written to a folder, as the server sees them."""
    return Recorded(strategy, Path(folder))


def _arrays(content: RecordDict) -> dict[str, Any]:
    """Copies of all arrays by name: an app may work in place."""
    found: dict[str, Any] = {}
    for record in content.array_records.values():
        found |= {
            name: numpy.array(value)
            for name, value in zip(record.keys(), record.to_numpy_ndarrays(), strict=True)
        }
    return found


def _facts(content: RecordDict) -> dict[str, Any]:
    """What the records of a message say of the recipe."""
    records = [*content.config_records.values(), *content.metric_records.values()]
    return {KNOWN[name]: value for record in records for name, value in record.items() if name in KNOWN}


def _round(content: RecordDict) -> int:
    for record in content.config_records.values():
        if "server-round" in record:
            return int(str(record["server-round"]))
    return 0


def _write(
    folder: Path, name: tuple[int, int, int], before: Arrays, content: RecordDict, facts: dict[str, Any]
) -> None:
    """An npz named by run, round and node: no other update takes its place."""
    run, number, node = name
    after = _arrays(content)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"before/{key}": value for key, value in before.items()}
    arrays |= {f"after/{key}": value for key, value in after.items()}
    said = json.dumps(facts | _facts(content))
    numpy.savez(folder / f"run{run}_round{number}_node{node}.npz", facts=numpy.array(said), **arrays)
