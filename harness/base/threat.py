"""The threat model: what an attacker needs beyond an honest-but-curious server, and the letter that goes with it."""

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import Any

from harness.base.components import find, nodes

TITLE = "Threat model (letters of Carletti et al., USENIX Security 2025) and what the attacker has"


class Need(StrEnum):
    """What a component needs, or an attacker is granted. The first two go with nearly every attack."""

    BASICS = "the architecture, the loss and the classes"
    TRAINING = "how clients train: batch size, epochs, learning rate"
    PUBLIC = "public images with labels"
    GENERATOR = "a generator trained on public images"
    GUESS = "a guess of how clients train"
    STATISTICS = "the batch-norm statistics of the client's batch"
    DEFENSE = "the kind of the defence"
    LABELS = "the true labels"
    SIGNS = "the truth, to choose between an image and its negative"
    ORDER = "the order of the client's steps"
    EMBEDDINGS = "the true embeddings, as the first linear layer sees them"
    ARCHITECTURE = "a malicious server that alters the architecture"
    PARAMETERS = "a malicious server that chooses the parameters"
    CLIENT = "a client of its own in every round"
    CLIENTS = "a malicious server that chooses the clients"


GRANTED = {
    "labels": Need.LABELS,
    "defense": Need.DEFENSE,
    "order": Need.ORDER,
    "embeddings": Need.EMBEDDINGS,
    "public": Need.PUBLIC,
    "protocol": Need.GUESS,
}
"""What each setting of `knowledge` hands to the attacker."""
ACTIVE = frozenset({Need.ARCHITECTURE, Need.PARAMETERS, Need.CLIENTS})
SURROGATE = frozenset({Need.PUBLIC, Need.GENERATOR})
MEANING = {
    "A": "the updates alone",
    "B": "A and the architecture, the loss and the classes",
    "C": "B and how clients train",
    "D": "C and surrogate data, or a generator trained on them",
    "E": "D and how the client's own data are distributed",
    "F": "C and a server that alters the model",
    "G": "D and a server that alters the model",
    "H": "G and a choice of clients",
}
"""The letters of the systematisation."""


def needs(config: Mapping[str, Any]) -> frozenset[Need]:
    """All that the attacker of a configuration needs or is granted: what its components declare, and `knowledge`.

    A prior counts where the attack searches it. Raises UserError where a component is not known here.
    """
    parts = {name: node for name, node in config.items() if name != "prior" or _searches_prior(config)}
    granted = {need for name, need in GRANTED.items() if config.get("knowledge", {}).get(name)}
    return frozenset(granted.union(*_declared(parts)))


def _searches_prior(config: Mapping[str, Any]) -> bool:
    target = config.get("attack", {}).get("_target_")
    return target is not None and bool(getattr(find("attack", target), "requires_prior", False))


def _declared(parts: Mapping[str, Any]) -> Iterator[Collection[Need]]:
    for name, part in parts.items():
        for node in nodes(part):
            if "_target_" in node:
                kind: Any = find(name, node["_target_"])
                yield kind.needed(node)


def malicious(config: Mapping[str, Any]) -> bool:
    """Whether the server of a configuration does more than look at what it is sent."""
    return not ACTIVE.isdisjoint(needs(config))


def letter(needed: Collection[Need]) -> str:
    """The letter of the least attacker in the systematisation who has what is needed; labels, order and embeddings have
    none."""
    surrogate = not SURROGATE.isdisjoint(needed)
    if Need.CLIENTS in needed:
        return "H"
    if not ACTIVE.isdisjoint(needed):
        return "G" if surrogate else "F"
    if Need.STATISTICS in needed:
        return "E"
    if surrogate:
        return "D"
    return "C" if Need.TRAINING in needed else "B" if Need.BASICS in needed else "A"


def told(config: Mapping[str, Any]) -> str:
    """The letter, and all that is more than the model, the update and how clients train."""
    needed = needs(config)
    beyond: list[str] = [
        need for need in Need if need in needed - {Need.BASICS, Need.TRAINING, Need.GENERATOR}
    ]
    if _searches_prior(config):
        prior, name = config["prior"], config.get("choices", {}).get("prior") or "prior"
        steps, withheld = prior.get("steps", 1), prior.get("withheld")
        trained = [f"{steps} steps"] * (steps > 1) + [f"without class {withheld}"] * (withheld is not None)
        beyond.append(f"a generator ({', '.join([name, *trained])})")
    return f"{letter(needed)} ({', '.join(['the model', 'the update', *beyond])})"


def tag(config: Mapping[str, Any]) -> str:
    """How loggers mark a run: `threat model G`."""
    return f"threat model {letter(needs(config))}"
