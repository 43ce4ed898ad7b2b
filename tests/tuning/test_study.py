"""The search over settings asks the same again, begins with what the row has, and stays within the space."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.tuning.spec import Range, Settings, Space
from harness.tuning.study import Study, lots, own_settings

SPACE: Space = {
    "weight": Range(low=1e-4, high=1.0, log=True),
    "steps": Range(low=1, high=9, integer=True),
    "kind": ["a", "b"],
}
FIRST = {"weight": 0.1, "steps": 5, "kind": "b"}


def course(seed: int, higher: bool = True, at_once: int = 3, many: int = 12) -> list[Settings]:
    """What is asked where the weight's distance from .01 counts, in decades."""
    study = Study(SPACE, seed, higher, FIRST)
    asked: list[Settings] = []
    for lot in lots(many, at_once):
        now = [study.ask() for _ in range(lot)]
        asked += [found for _, found in now]
        for number, found in now:
            study.tell(number, None if number == 4 else float(dict(found)["weight"]))
    return asked


def test_a_study_begun_anew_asks_for_the_same() -> None:
    assert course(0) == course(0)
    assert course(0) != course(1)


def test_the_first_candidate_is_the_row_as_it_stands() -> None:
    assert dict(course(3)[0]) == FIRST


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5))
def test_candidates_stay_within_the_space(seed: int, at_once: int) -> None:
    for each in map(dict, course(seed, at_once=at_once)):
        assert 1e-4 <= float(each["weight"]) <= 1
        assert each["steps"] in range(1, 10)
        assert each["kind"] in ("a", "b")


def test_it_searches_where_it_is_better() -> None:
    """The weight alone counts: most of the later candidates are on the better side of the middle."""
    for higher in (True, False):
        late = [float(dict(each)["weight"]) for each in course(0, higher, many=40)[20:]]
        assert sum((weight > 1e-2) == higher for weight in late) > 12


def test_lots_come_to_the_number_that_is_asked_for() -> None:
    assert list(lots(10, 4)) == [4, 4, 2]


def test_a_row_has_what_is_tuned_and_within_its_space() -> None:
    config = {"attack": {"weight": 0.5, "kind": "a"}}
    assert own_settings({"attack.weight": Range(low=0, high=1)}, config, "One") == {"attack.weight": 0.5}
    with pytest.raises(UserError, match=r"One: attack\.wieght has no value"):
        own_settings({"attack.wieght": Range(low=0, high=1)}, config, "One")
    with pytest.raises(UserError, match=r"attack\.weight is 0\.5, which is not in its space"):
        own_settings({"attack.weight": Range(low=1, high=2)}, config, "One")
    with pytest.raises(UserError, match="not in its space"):
        own_settings({"attack.kind": ["b", "c"]}, config, "One")
