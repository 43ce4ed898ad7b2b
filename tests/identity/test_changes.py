"""What is said of numbers whose methods have changed since."""

from harness.config.composition import compose
from harness.identity.changes import changes, merged, methods
from harness.labels.rlu import RLU


def test_a_run_knows_its_methods_and_nothing_has_changed_today() -> None:
    rule = "labels@attack.labels=rlu"
    found = methods(compose("attack=dlf", rule, "knowledge.public=true", "logger=csv").parts)
    assert found["harness.labels.rlu.RLU"] == RLU.version == 2
    assert "harness.attacks.dlf.DLF" in found
    assert not any("logger" in path for path in found)
    assert changes(found) == []


def test_what_has_changed_is_said() -> None:
    rule = "harness.labels.rlu.RLU"
    behind = merged(
        [
            {rule: 2},
            {rule: 1},
            {
                "harness.attacks.gone.Gone": 1,
                "harness.attacks.dlg.DLG": 3,
                "harness.config.execution.Paths": 1,
            },
        ]
    )
    assert changes(behind) == [
        "Gone is there no more.",
        "Paths is there no more.",
        "The numbers of RLU have changed since: version 1, 2, now 2.",
    ]
