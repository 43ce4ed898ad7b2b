"""The threat model: what components declare, and the letter that goes with it."""

import re

import pytest

from harness.base.schema import CONF
from harness.base.threat import MEANING, Need, letter, malicious, needs, tag, told
from harness.config.composition import compose

QUICK = ("dataset=digits32", "logger=none", "scale=smoke")
LETTERS = {
    ("attack=dlg",): "A",
    ("attack=idlg",): "A",
    ("attack=ig",): "B",
    ("attack=gi",): "B",
    ("attack=dlg", "fl=fedavg"): "C",
    ("attack=dlf", "fl=fedavg"): "C",
    ("attack=dlg", "prior=wgan_gp"): "A",  # it has no use for a generator
    ("attack=ggl", "prior=wgan_gp"): "D",
    ("attack=ggl", "prior=untrained"): "B",
    ("attack=ig", "knowledge.public=true"): "D",
    ("attack=ig", "start=mean_image"): "D",
    ("attack=rtf", "model=imprint_mlp"): "G",
    ("attack=rtf", "model=imprint_mlp", "model.edges=laplace"): "F",
}


@pytest.mark.parametrize("overrides", LETTERS, ids=" ".join)
def test_a_run_has_the_letter_that_its_parts_ask_for(overrides: tuple[str, ...]) -> None:
    config = compose(*QUICK, *overrides).config
    assert letter(needs(config)) == LETTERS[overrides]
    assert tag(config) == f"threat model {LETTERS[overrides]}"


def test_a_malicious_server_is_named() -> None:
    words = told(compose(*QUICK, "attack=rtf", "model=imprint_mlp").config)
    for need in (Need.ARCHITECTURE, Need.PARAMETERS, Need.PUBLIC):
        assert need in words


def test_a_server_that_alters_the_model_is_malicious() -> None:
    assert malicious(compose(*QUICK, "attack=ig", "server=trap_weights").config)
    assert not malicious(compose(*QUICK, "attack=ig").config)


@pytest.mark.parametrize("name", ["labels", "defense", "order", "public"])
def test_what_is_granted_is_named(name: str) -> None:
    plain, granted = (
        told(compose(*QUICK, "attack=ig", f"knowledge.{name}={given}").config) for given in ("false", "true")
    )
    assert granted != plain


def test_more_needs_never_make_a_lesser_attacker() -> None:
    order = list(MEANING)
    for one in Need:
        for other in Need:
            assert order.index(letter({one, other})) >= order.index(letter({one}))


def test_the_help_gives_attacks_their_letters() -> None:
    """By the first word of each entry; what more an attack needs there, its entry says."""
    text = (CONF / "config.yaml").read_text()
    entries = re.findall(r"([A-H]) (?:[^:\n]*?): ([a-z, =]+?)(?:  |\n)", text.partition("Threat models")[2])
    given = {name: mark for mark, names in entries for name in re.findall(r"\w+", names)}
    extras = {"rtf": ["model=imprint_mlp"], "ggl": ["prior=wgan_gp"], "dlf": ["fl=fedavg"]}
    named = [name for name in given if (CONF / "attack" / f"{name}.yaml").exists()]
    assert {"dlg", "idlg", "ig", "gi", "dlf", "ggl", "rtf"} <= set(named)
    for name in named:
        experiment = compose(*QUICK, f"attack={name}", *extras.get(name, []))
        assert letter(needs(experiment.config)) == given[name]


def test_a_generator_is_told_with_what_it_was_trained_on() -> None:
    shown = told(compose("attack=ggl", "prior=wgan_gp_small", "prior.withheld=3").config)
    assert "a generator (wgan_gp_small, 1300 steps, without class 3)" in shown
