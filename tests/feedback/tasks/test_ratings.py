"""Likert, binary and score: a judgement of each response by itself, as labels in 0..1."""

import pytest

from tutelage.core.errors import UserError
from tutelage.feedback.signals import Label
from tutelage.feedback.tasks.binary import Binary
from tutelage.feedback.tasks.likert import Likert
from tutelage.feedback.tasks.score import Score


def values(signals) -> list[float]:
    assert all(isinstance(signal, Label) for signal in signals)
    assert [signal.response for signal in signals] == list(range(len(signals)))
    return [signal.value for signal in signals]


def test_a_rating_of_one_to_seven_is_a_label_of_zero_to_one():
    signals = Likert((1, 4, 7)).signals(3)
    assert values(signals) == [0.0, 0.5, 1.0]
    assert [signal.weight for signal in signals] == [1 / 3] * 3


def test_good_is_one_and_bad_is_zero():
    signals = Binary((True, False)).signals(2)
    assert values(signals) == [1.0, 0.0] and {type(signal.value) for signal in signals} == {float}
    assert [signal.weight for signal in signals] == [0.5, 0.5]


@pytest.mark.parametrize(("low", "high", "middle"), [(0, 10, 5), (0, 100, 50), (-1, 1, 0), (1, 5, 3)])
def test_a_score_means_the_same_in_every_range(low, high, middle):
    assert values(Score((low, middle, high), low, high).signals(3)) == [0.0, 0.5, 1.0]


def test_a_range_is_part_of_the_answer_where_it_is_another():
    assert Score.from_form({"value-0": "7.5"}, (0,)).to_answer() == {"values": [7.5]}
    wide = Score.from_form({"value-0": "75"}, (0,), Score.Options(0, 100)).to_answer()
    assert wide == {"values": [75.0], "low": 0, "high": 100}
    with pytest.raises(UserError, match="from 0 to 10; got 75"):
        Score.from_answer({"values": wide["values"]}).check(1)


@pytest.mark.parametrize(
    ("task", "answer", "k", "said"),
    [
        (Likert, {"values": [1, 8]}, 2, "from 1 to 7; got 8 for response 1"),
        (Likert, {"values": [0, 7]}, 2, "from 1 to 7; got 0 for response 0"),
        (Likert, {"values": [1.0, 2]}, 2, "whole number from 1 to 7; got 1.0"),
        (Likert, {"values": [True, 2]}, 2, "whole number from 1 to 7; got True"),
        (Likert, {"values": [1]}, 2, "2 values; got 1"),
        (Likert, {"values": "17"}, 2, "a rating is"),
        (Likert, {"values": []}, 0, "1 to 26 responses; got 0"),
        (Binary, {"good": [1, 0]}, 2, "true .good. or false .bad.; got 1"),
        (Binary, {"good": [True]}, 2, "2 of true and false; got 1"),
        (Binary, {"bad": [True]}, 1, "a verdict is"),
        (Score, {"values": [11]}, 1, "from 0 to 10; got 11"),
        (Score, {"values": [float("nan")]}, 1, "from 0 to 10; got nan"),
        (Score, {"values": [float("inf")], "high": float("inf")}, 1, "low below high"),
        (Score, {"values": [10**400]}, 1, "a score is a number"),
        (Score, {"values": [True]}, 1, "a score is a number"),
        (Score, {"values": ["7"]}, 1, "a score is a number"),
        (Score, {"values": [5], "low": 9, "high": 1}, 1, "low below high; got 9 and 1"),
        (Score, {"values": [5], "hihg": 10}, 1, "did you mean 'high'"),
        (Score, {"value": 5}, 1, "did you mean 'values'"),
    ],
)
def test_wrong_ratings_are_refused(task, answer, k, said):
    with pytest.raises(UserError, match=said):
        task.from_answer(answer).check(k)


@pytest.mark.parametrize(
    ("task", "posted", "said"),
    [
        (Likert, {"value-1": "6"}, r"^Response A has no rating yet\.$"),
        (Likert, {}, r"^Responses A and B have no rating yet\.$"),
        (
            Likert,
            {"value-0": "8", "value-1": "6"},
            r"^Rating of response 1: '8' is no choice here; pick one of 1 \(worst\), 2, 3, 4, 5, 6, 7 \(best\)\.$",
        ),
        (Binary, {"good-0": "good"}, r"^Response B has no verdict yet\.$"),
        (Binary, {"good-0": "good", "good-1": "on"}, "'on' is no choice here; pick one of Good, Bad"),
        (Score, {"value-0": "7,5", "value-1": "1"}, r"^Score of response 1: '7,5' won't do; write a number from 0 to 10, such as 5\.$"),
        (Score, {"value-0": "7.5", "value-1": "10.1"}, "'10.1' won't do"),
        (Score, {"value-0": "nan", "value-1": "1"}, "'nan' won't do"),
        (Score, {"value-0": "1_0", "value-1": "1"}, "'1_0' won't do"),
        (Score, {"value-0": "1e1", "value-1": "1"}, "'1e1' won't do"),
        (Score, {"value-0": "٧", "value-1": "1"}, "'٧' won't do"),
        (Score, {"value-0": "9" * 5000, "value-1": "1"}, r"'9{40}\.\.\.' won't do"),
    ],
)
def test_forms_say_what_is_wrong_in_the_words_of_the_screen(task, posted, said):
    with pytest.raises(UserError, match=said):
        task.from_form(posted, (1, 0))


def test_cards_are_read_in_the_order_shown():
    shown = (2, 0, 1)
    likert = Likert.from_form({"value-0": "7", "value-1": "1", "value-2": " 4 "}, shown)
    assert likert == Likert((1, 4, 7)) and likert.said(shown) == "A 7, B 1, C 4"
    binary = Binary.from_form({"good-0": "good", "good-1": "bad", "good-2": "bad"}, shown)
    assert binary == Binary((False, False, True)) and binary.said(shown) == "A good, B bad, C bad"
    score = Score.from_form({"value-0": "7.5", "value-1": "0", "value-2": "+10"}, shown)
    assert score == Score((0.0, 10.0, 7.5)) and score.said(shown) == "A 7.5, B 0, C 10"


def test_a_study_cannot_ask_for_a_score_between_nothing():
    with pytest.raises(UserError, match="low lies below high; got 5 and 5"):
        Score.Options(5, 5)
    assert Score.form(2, Score.Options(-1, 1))[0].low == -1 and Score.form(2)[0].high == 10
