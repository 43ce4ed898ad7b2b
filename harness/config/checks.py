"""Combinations of settings that can't work together, or of which one would be without effect."""

import dataclasses

from harness.attacks.optimization import OptimizationAttack
from harness.checks.client import NoChecks
from harness.config.experiment import Experiment
from harness.core import Attack, LabelInference, UserError, generator
from harness.core.gradient import gradient
from harness.federated.fedavg import FedAvg
from harness.priors.none import NoPrior
from harness.starts.policy import StartPolicy
from harness.starts.random import Random


def check(experiment: Experiment) -> Experiment:
    """Refuse combinations that can't work. Raises UserError."""
    if experiment.attack.requires_prior and isinstance(experiment.prior, NoPrior):
        name = experiment.choices["attack"] or type(experiment.attack).__name__
        raise UserError(f"attack={name} searches a generator's latent space: say prior=wgan_gp (or another)")
    experiment.server.check(experiment.fl)
    experiment.attack.check(experiment.victim)
    check_public(experiment.attack, experiment.knowledge.public)
    check_embeddings(experiment)
    if experiment.training.steps and experiment.model.fresh:
        raise UserError("training: one model is trained for all targets: say model.fresh=false")
    check_start(experiment.start, experiment.attack)
    check_rounds(experiment)
    check_clients(experiment)
    check_gradient(experiment)
    check_labels(experiment)
    check_dummies(experiment)
    check_choice(experiment)
    if experiment.targets is not None and experiment.order != "random":
        raise UserError(f"order={experiment.order}: the targets are named, and attacked as they are named")
    return experiment


def check_choice(experiment: Experiment) -> None:
    """Refuse a number of equal labels that no update can have, controls of federated rounds, and the order of steps
    that the attacker does not believe in. Raises UserError."""
    alike, fl, granted = experiment.alike, experiment.fl, experiment.knowledge
    if granted.order and granted.protocol is not None:
        raise UserError("knowledge.order: it is that of the client's own steps: say knowledge.protocol=null")
    if experiment.control != "none":
        check_control(experiment)
    if experiment.of_class is not None:
        check_class(experiment, experiment.of_class)
    if alike is None:
        return
    if fl.in_rounds or experiment.targets is not None or experiment.order != "random":
        raise UserError(
            f"alike={alike}: it chooses the images itself: say order=random, without targets or rounds"
        )
    if alike > fl.examples:
        raise UserError(f"alike={alike}: there are {fl.examples} images behind an update")


def check_control(experiment: Experiment) -> None:
    """Refuse a control of an attack that reads no update, or beside the client's own statistics, and another client's
    update where as many images are looked for as a client holds. Raises UserError."""
    attack, fl, control = experiment.attack, experiment.fl, experiment.control
    if attack.insider is not None or not attack.attacks:
        name = experiment.choices.get("attack") or type(attack).__name__
        raise UserError(f"control={control}: attack={name} reads no client's update: say control=none")
    if fl.normalization == "statistics":
        raise UserError(
            f"control={control}: fl.normalization=statistics hands on the client's own: say another"
        )
    if control == "other" and fl.in_rounds and fl.dummies is None:
        raise UserError("control=other: clients hold different numbers of images: say fl.dummies=NUMBER")


def check_class(experiment: Experiment, chosen: int) -> None:
    """Refuse a class that the data set has not, or with what chooses the images otherwise. Raises UserError."""
    dataset = experiment.dataset
    if chosen >= len(dataset.classes):
        last = len(dataset.classes) - 1
        raise UserError(
            f"of_class={chosen}: classes of {type(dataset).__name__} are numbered from 0 to {last}"
        )
    drawn = experiment.order in ("random", "sequential") and experiment.alike is None
    if not drawn or experiment.fl.in_rounds or experiment.targets is not None:
        raise UserError(
            f"of_class={chosen}: say order=random or sequential, and neither targets, alike nor federated rounds"
        )


def check_clients(experiment: Experiment) -> None:
    """Refuse checks of clients' updates where no client's update is attacked. Raises UserError."""
    attack = experiment.attack
    if experiment.checks != NoChecks() and (attack.insider is not None or not attack.attacks):
        name = experiment.choices["attack"] or type(attack).__name__
        raise UserError(f"checks: attack={name} reads no client's update: say checks=none")
    experiment.checks.check()


def check_gradient(experiment: Experiment) -> None:
    """Refuse what a defence of every local step can't do its work under. Raises UserError."""
    if experiment.defense.on_gradient(gradient, generator("check")) is gradient:
        return
    fl, name = experiment.fl, experiment.choices.get("defense") or type(experiment.defense).__name__
    if fl.normalization != "eval":
        raise UserError(
            f"defense={name}: normalising by a batch's own statistics mixes its images, which nothing bounds: "
            "say fl.normalization=eval"
        )
    if isinstance(fl, FedAvg) and fl.keep_momentum:
        raise UserError(
            f"defense={name}: clients start every round without momentum: say fl.keep_momentum=false"
        )


def check_dummies(experiment: Experiment) -> None:
    """Refuse knowledge about all images of a client where fewer are searched for. Raises UserError."""
    fl, granted = experiment.fl, experiment.knowledge
    if fl.dummies is None:
        return
    if granted.order:
        raise UserError("knowledge.order: an order of all the client's images needs fl.dummies=null")
    if granted.embeddings:
        raise UserError("knowledge.embeddings: those of all the client's images need fl.dummies=null")
    if granted.labels and (fl.in_rounds or fl.dummies != fl.examples):
        raise UserError("knowledge.labels: the labels of all the client's images need fl.dummies=null")


def check_public(attack: Attack, granted: bool) -> None:
    """Refuse an attack that learns from public images where it is given none. Raises UserError."""
    if attack.learns and not granted:
        raise UserError(
            f"attack: {type(attack).__name__} learns from public images: say knowledge.public=true"
        )


def check_embeddings(experiment: Experiment) -> None:
    """Refuse embeddings that the attack has no use for. Raises UserError."""
    if experiment.knowledge.embeddings and not experiment.attack.accepts_embeddings:
        name = experiment.choices["attack"] or type(experiment.attack).__name__
        raise UserError(
            f"knowledge.embeddings: attack={name} has no use for them: say attack=cpa_fi, or false"
        )


def check_labels(experiment: Experiment) -> None:
    """Refuse a rule that needs what the attacker is not given, or can't tell so many labels. Raises UserError."""
    granted, fl = experiment.knowledge, experiment.fl
    for field in dataclasses.fields(experiment.attack):
        rule = getattr(experiment.attack, field.name)
        if not isinstance(rule, LabelInference) or granted.labels:
            continue
        if not fl.in_rounds:  # there the clients hold different numbers of images
            rule.check(fl.dummies or fl.examples, fl.examples, len(experiment.dataset.classes))
        if rule.requires_public and not granted.public:
            name = type(rule).__name__
            raise UserError(
                f"attack.{field.name}: {name} needs public images with labels: say knowledge.public=true"
            )


def check_start(start: StartPolicy, attack: Attack) -> None:
    """Refuse a start that the attack would not use, or that would wait for ever. Raises UserError."""
    if start == Random():
        return
    if not attack.accepts_start or not isinstance(attack, OptimizationAttack):
        raise UserError(f"start: {type(attack).__name__} searches for no images that it could begin with")
    if start.awaits_success and attack.tolerance is None:
        raise UserError("start: it waits for successful attacks: say below which loss, attack.tolerance=1e-4")


def check_rounds(experiment: Experiment) -> None:
    """Refuse settings that federated rounds, or their absence, would leave without effect. Raises UserError."""
    protocol = experiment.fl
    if isinstance(protocol, FedAvg) and protocol.keep_momentum and not protocol.momentum:
        raise UserError("fl.keep_momentum: there is none to keep: say fl.momentum=0.5 (or another number)")
    if not protocol.in_rounds:
        if experiment.attack.insider is not None:
            raise UserError("attack: it comes from inside federated rounds: say fl=fedavg fl.clients=10")
        if not experiment.attack.attacks:
            raise UserError(
                "attack=none: there is nothing to tell without rounds: say fl=fedavg fl.clients=10"
            )
        if protocol.dummies is not None and protocol.dummies > protocol.examples:
            raise UserError(f"fl.dummies={protocol.dummies}: the client holds {protocol.examples} images")
        of_rounds = FedAvg.of_rounds if isinstance(protocol, FedAvg) else ()
        default = FedAvg()
        if idle := [name for name in of_rounds if getattr(protocol, name) != getattr(default, name)]:
            raise UserError(f"fl.{idle[0]}: there are no rounds: say fl.clients=10 (or another number)")
        return
    if experiment.targets is not None or experiment.order != "random":
        name = "order" if experiment.targets is None else "targets"
        raise UserError(f"{name}: in federated rounds clients are attacked, not images: say fl.victims=[0,1]")
    if experiment.ranks * experiment.nodes > 1:
        raise UserError("ranks: one process simulates the rounds: say ranks=1, and JOBS=n for several runs")
    if experiment.start != Random() and protocol.dummies is None:
        raise UserError("start: clients hold different numbers of images: say for how many, fl.dummies=8")
