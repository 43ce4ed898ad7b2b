"""In what order jobs are begun."""

from harness.cells.turns import in_turn
from harness.config import compose


def test_what_waits_for_a_generator_comes_last() -> None:
    """One job of each generator first, then all that need none."""
    small, trained = ("prior=wgan_gp_small", "attack=ggl"), ("training.steps=5", "model.fresh=false")
    cells = {
        "plain": compose("attack=dlg"),
        "ggl": compose(*small),
        "ggl, noise": compose(*small, "defense=noise"),
        "other generator": compose(*small, "prior.steps=7"),
        "trained model": compose("attack=dlg", *trained),
        "the same model": compose("attack=idlg", *trained),
    }
    names = {cell.id: name for name, cell in cells.items()}
    turns = in_turn([(cell,) for cell in cells.values()])
    assert [names[job[0].id] for job in turns] == [
        *("ggl", "other generator", "trained model"),
        "plain",
        *("ggl, noise", "the same model"),
    ]


def test_the_longest_job_is_begun_first() -> None:
    """By images, local epochs, steps and targets; jobs that look equally long keep their order."""
    overrides = [
        ("attack=ig", "attack.steps=30"),
        ("attack=ig", "attack.steps=30", "fl.batch_size=4"),
        ("attack=ig", "attack.steps=30", "fl=fedavg", "fl.examples_per_client=4", "fl.local_epochs=4"),
        ("attack=idlg", "attack.steps=2"),
        ("attack=ig", "attack.steps=30", "trials=3"),
        ("attack=ig", "attack.steps=30", "seed=1"),
    ]
    jobs = [(compose("trials=1", *given),) for given in overrides]
    assert [jobs.index(job) for job in in_turn(jobs)] == [2, 1, 4, 3, 0, 5]
