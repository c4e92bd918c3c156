"""Best and worst of at least three."""

import pytest

from tutelage.core.errors import UserError
from tutelage.feedback.signals import Preference
from tutelage.feedback.tasks.best_worst import BestWorst


@pytest.mark.parametrize("k", range(3, 10))
def test_the_best_beats_all_and_all_beat_the_worst(k: int):
    signals = BestWorst(2, 0).signals(k)
    pairs = [(s.winner, s.loser) for s in signals if isinstance(s, Preference)]
    wanted = {(2, place) for place in range(k) if place != 2} | {(place, 0) for place in range(k) if place != 0}
    assert set(pairs) == wanted and len(pairs) == len(signals) == 2 * k - 3
    assert {s.weight for s in signals} == {1 / (2 * k - 3)}


def test_of_those_between_nothing_is_known():
    pairs = {(s.winner, s.loser) for s in BestWorst(0, 3).signals(4) if isinstance(s, Preference)}
    assert not {(1, 2), (2, 1)} & pairs


@pytest.mark.parametrize(
    ("answer", "k", "said"),
    [
        ({"best": 0, "worst": 0}, 3, "can't be the worst as well"),
        ({"best": 0, "worst": 3}, 3, "places from 0 to 2; got 3 as worst"),
        ({"best": -1, "worst": 1}, 3, "got -1 as best"),
        ({"best": True, "worst": 0}, 3, "got True as best"),
        ({"best": "a", "worst": 0}, 3, "got 'a' as best"),
        ({"best": [1], "worst": 0}, 3, "as best"),
        ({"best": 0, "worst": 1}, 2, "needs 3 to 9 responses; got 2"),
        ({"best": 0}, 3, "a best-worst choice is"),
        ({"best": 0, "worst": 1, "x": 2}, 3, "a best-worst choice is"),
    ],
)
def test_best_worst_refuses(answer, k, said):
    with pytest.raises(UserError, match=said):
        BestWorst.from_answer(answer).check(k)


def test_letters_of_the_screen_are_places_stored():
    shown = (2, 0, 1)
    choice = BestWorst.from_form({"best": "c", "worst": "a"}, shown)
    assert choice == BestWorst(1, 2) and choice.said(shown) == "C best, A worst" and choice.said(()) == "B best, C worst"


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"best": "b"}, r"^Worst: pick one of A, B, C\.$"),
        ({"best": "b", "worst": "b"}, r"^The best response can't be the worst as well; pick two\.$"),
        ({"best": "d", "worst": "b"}, r"^Best: 'd' is no choice here; pick one of A, B, C\.$"),
        ({"best": "bc", "worst": "b"}, "'bc' is no choice here"),
    ],
)
def test_a_wrong_choice_is_said_in_words(posted, said):
    with pytest.raises(UserError, match=said):
        BestWorst.from_form(posted, (2, 0, 1))
