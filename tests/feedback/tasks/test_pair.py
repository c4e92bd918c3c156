"""Pairs: who, how much, how surely; ties and two bad ones."""

import pytest

from tutelage.core.errors import UserError
from tutelage.feedback.signals import Preference
from tutelage.feedback.tasks.pair import Pair

STRONG = Pair.Options(strength=True)


def test_pair_says_who_how_much_and_how_surely():
    assert Pair.from_answer({"winner": 1, "strength": 3, "probability": 0.9}).signals(2) == [Preference(1, 0, margin=3.0, probability=0.9)]
    assert Pair.from_answer({"winner": 0}).signals(2) == [Preference(0, 1)]


@pytest.mark.parametrize("neither", ["tie", "both_bad"])
def test_what_orders_nothing_has_no_signals(neither: str):
    assert Pair.from_answer({"winner": neither}).signals(2) == []


@pytest.mark.parametrize(
    ("answer", "k", "said"),
    [
        ({"winner": 0}, 3, "needs 2 responses"),
        ({"winner": 2}, 2, "0, 1, 'tie' or 'both_bad'"),
        ({"winner": True}, 2, "0, 1, 'tie' or 'both_bad'"),
        ({"winner": "0"}, 2, "0, 1, 'tie' or 'both_bad'"),
        ({"winner": [0]}, 2, "0, 1, 'tie' or 'both_bad'"),
        ({"winner": 0, "strength": 4}, 2, "from 0 to 3"),
        ({"winner": 0, "strength": "1"}, 2, "from 0 to 3"),
        ({"winner": 0, "probability": 0.5}, 2, "above 0.5"),
        ({"winner": 0, "probability": float("nan")}, 2, "above 0.5"),
        ({"winner": "tie", "strength": 1}, 2, "a tie has neither"),
        ({"winner": "both_bad", "probability": 0.9}, 2, "nor has 'both_bad'"),
        ({}, 2, "needs a winner"),
        ({"winer": 0}, 2, "did you mean 'winner'"),
    ],
)
def test_pair_refuses(answer, k, said):
    with pytest.raises(UserError, match=said):
        Pair.from_answer(answer).check(k)


def test_answers_say_only_what_was_said():
    for answer in ({"winner": 1}, {"winner": "both_bad"}, {"winner": 0, "strength": 2, "probability": 0.75}):
        assert Pair.from_answer(answer).to_answer() == answer


def test_the_left_one_on_the_screen_is_the_one_stored_there():
    assert Pair.from_form({"winner": "a"}, (1, 0)) == Pair(1)
    assert Pair.from_form({"winner": "a"}, (0, 1)) == Pair(0)
    assert Pair(1).said((1, 0)) == "A over B" and Pair(1).said(()) == "B over A"


@pytest.mark.parametrize(
    ("posted", "said"), [("tie", "A = B"), ("both_bad", "A and B both bad"), ("b2", "B over A, clearly"), ("a3", "A over B, significantly")]
)
def test_a_scale_of_eight_keys_asks_both_at_once(posted: str, said: str):
    pair = Pair.from_form({"winner": posted}, (1, 0), STRONG)
    assert pair.said((1, 0)) == said and pair.to_form((1, 0), STRONG) == {"winner": posted}
    pair.check(2)


def test_strength_is_the_margin_and_is_only_read_where_it_was_asked():
    assert Pair.from_form({"winner": "b2"}, (0, 1), STRONG).signals(2) == [Preference(1, 0, margin=2.0)]
    with pytest.raises(UserError, match=r"Better response: 'b2' is no choice here; pick one of A is better, B is better, .*Both bad\.$"):
        Pair.from_form({"winner": "b2"}, (0, 1))
    with pytest.raises(UserError, match="'b' is no choice here"):
        Pair.from_form({"winner": "b"}, (0, 1), STRONG)


def test_keys_lie_in_the_order_of_the_screen():
    assert [option.key for option in Pair.form(2)[0].options] == ["1", "2", "3", "4"]
    assert "".join(option.key for option in Pair.form(2, STRONG)[0].options) == "12345670"
    assert [o.value for o in Pair.form(2, STRONG)[0].options][3] == "tie"
