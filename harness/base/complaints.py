"""Hydra's complaints about a command line or a file, in one line."""

import dataclasses
import re

from omegaconf import DictConfig

from harness.base.errors import nearest
from harness.base.schema import PLANS, Schema


def explain_composition(error: Exception) -> str:
    """Hydra's complaint about a command line or a YAML file, in one line with the nearest valid name."""
    text = " ".join(str(error).split())
    listed = r"Could not find '([\w/@.-]+)'.*?Available options in '([\w/@.-]+)':(.*?)(?:Config search|$)"
    if match := re.search(listed, text):
        missing, group, options = match[1].rpartition("/")[2], match[2], match[3].split()
        return f"{group}={missing}: there is no such {group}{nearest(missing, options)}"
    if unknown := _unknown_key(error):
        return unknown
    if match := re.search(r"Could not override '([\w/@.]+)'", text):
        keys = [f.name for f in dataclasses.fields(Schema)]
        return f"{match[1]}: there is no such setting{nearest(match[1], keys)}"
    if match := re.search(r"Ambiguous value for argument '(.+?)' ", text):
        return f"{match[1][:80]}: several values make a multirun, so say -m; a value that holds a comma is quoted"
    if match := re.search(r"Sweep parameters '(.+?)' requires? --multirun", text):
        given = re.sub(r"choice\((.*?)\)", r"\1", match[1])
        return f"{given}: an axis of a sweep, of which one run is shown; leave it out"
    if re.search(
        r"LexerNoViableAlt|(mismatched|extraneous|missing) .* (at|expecting) |no viable alternative", text
    ):
        quoted = "; a value with = , ( ) [ ] { } or spaces stands in quotes: 'data.root=\"a=b\"'"
        return f"the command line can't be read: {text.split(' See https')[0][:200]}{quoted}"
    return text.split(" See https")[0][:300]


def _unknown_key(error: BaseException | None) -> str | None:
    """A key that isn't in the configuration, with its siblings' nearest name."""
    while error is not None:
        parent, path = getattr(error, "parent_node", None), str(getattr(error, "full_key", ""))
        keys = list(parent) if isinstance(parent, DictConfig) and not parent._is_none() else None
        if keys is not None and path and path.rpartition(".")[2] not in keys:
            if path in PLANS:
                return f"{path} is a plan that is chosen, {path}=NAME: it has no settings on the command line"
            siblings = [*map(str, keys), *(() if "." in path else PLANS)]
            return f"{path}: there is no such setting{nearest(path.rpartition('.')[2], siblings)}"
        error = error.__cause__ or error.__context__
    return None
