"""Tasks: forms of answers, laws of signals, names."""

import itertools
import sys
import types

import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import Response, ask
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.signals import Preference
from tutelage.feedback.tasks.pair import Pair
from tutelage.feedback.tasks.ranking import Ranking


def test_ranking_gives_every_pair_of_different_tiers_once():
    signals = Ranking.from_answer({"tiers": [[2], [0, 3], [1]]}).signals(4)
    pairs = {(s.winner, s.loser) for s in signals if isinstance(s, Preference)}
    assert pairs == {(2, 0), (2, 3), (2, 1), (0, 1), (3, 1)}
    assert len(signals) == 5 and {s.weight for s in signals} == {1 / 5}


@pytest.mark.parametrize("k", range(2, 10))
def test_weights_of_a_ranking_sum_to_one(k):
    for cuts in itertools.islice(itertools.product([False, True], repeat=k - 1), 64):
        tiers = [[0]]
        for place, cut in enumerate(cuts, start=1):
            if cut:
                tiers.append([])
            tiers[-1].append(place)
        signals = Ranking.from_answer({"tiers": tiers}).signals(k)
        assert sum(s.weight for s in signals) == pytest.approx(1 if any(cuts) else 0, abs=1e-12)
        assert bool(signals) == any(cuts)


def test_all_tied_has_no_signals():
    assert Ranking.from_answer({"tiers": [[0, 1, 2]]}).signals(3) == []
    assert Pair.from_answer({"winner": "tie"}).signals(2) == []


@pytest.mark.parametrize(
    ("tiers", "k", "said"),
    [
        ([[0]], 1, "2 to 9 responses"),
        ([[i] for i in range(10)], 10, "2 to 9 responses"),
        ([[0], [0]], 2, "each of 0 to 1 once"),
        ([[0]], 2, "each of 0 to 1 once"),
        ([[0], [2]], 2, "each of 0 to 1 once"),
        ([[0], [], [1]], 2, "empty tiers"),
    ],
)
def test_ranking_refuses(tiers, k, said):
    with pytest.raises(UserError, match=said):
        Ranking.from_answer({"tiers": tiers}).check(k)


@pytest.mark.parametrize(
    "answer", [{}, {"tiers": "01"}, {"tiers": [0, 1]}, {"tiers": [["0"]]}, {"tiers": [[True]]}, {"tiers": [[0]], "x": 1}]
)
def test_ranking_refuses_another_form(answer):
    with pytest.raises(UserError, match="a ranking is"):
        Ranking.from_answer(answer)


def test_pair_says_who_how_much_and_how_surely():
    assert Pair.from_answer({"winner": 1, "strength": 3, "probability": 0.9}).signals(2) == [Preference(1, 0, margin=3.0, probability=0.9)]
    assert Pair.from_answer({"winner": 0}).signals(2) == [Preference(0, 1)]


@pytest.mark.parametrize(
    ("answer", "k", "said"),
    [
        ({"winner": 0}, 3, "needs 2 responses"),
        ({"winner": 2}, 2, "0, 1 or 'tie'"),
        ({"winner": True}, 2, "0, 1 or 'tie'"),
        ({"winner": "0"}, 2, "0, 1 or 'tie'"),
        ({"winner": 0, "strength": 4}, 2, "from 0 to 3"),
        ({"winner": 0, "strength": "1"}, 2, "from 0 to 3"),
        ({"winner": 0, "probability": 0.5}, 2, "above 0.5"),
        ({"winner": 0, "probability": float("nan")}, 2, "above 0.5"),
        ({"winner": "tie", "strength": 1}, 2, "a tie has neither"),
        ({}, 2, "needs a winner"),
        ({"winer": 0}, 2, "did you mean 'winner'"),
    ],
)
def test_pair_refuses(answer, k, said):
    with pytest.raises(UserError, match=said):
        Pair.from_answer(answer).check(k)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("ranking", {"tiers": [[2], [0, 3], [1]]}),
        ("pair", {"winner": 1}),
        ("pair", {"winner": "tie"}),
        ("pair", {"winner": 0, "strength": 2, "probability": 0.75}),
    ],
)
def test_answers_come_back_as_they_were(name, answer):
    assert tasks.load(name).from_answer(answer).to_answer() == answer


def test_tasks_are_found_by_the_file_and_asked_for_by_name():
    assert {"ranking", "pair"} <= set(tasks.names())
    for name in tasks.names():
        assert tasks.load(name).question(2)
    with pytest.raises(UserError, match="did you mean 'ranking'"):
        tasks.load("rankng")


def test_an_outsiders_task_is_named_by_import_path(monkeypatch):
    module = types.ModuleType("outsider")
    module.Mine = Pair
    module.Half = int
    monkeypatch.setitem(sys.modules, "outsider", module)
    assert tasks.load("outsider:Mine") is Pair
    with pytest.raises(UserError, match="lacks from_answer"):
        tasks.load("outsider:Half")
    for missing in ("outsider:None_", "nowhere_at_all:X", ":X"):
        with pytest.raises(UserError, match="can't be imported"):
            tasks.load(missing)


def test_a_wrong_answer_names_the_annotation_and_its_annotator():
    wrong = Annotation(ask("hi"), (Response("a"), Response("b")), "ranking", {"tiers": [[0]]}, "ann-03")
    with pytest.raises(UserError, match=f"{wrong.id} by ann-03"):
        tasks.signals_of(wrong)
