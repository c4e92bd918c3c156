"""The simulated annotators: right as often as people are, biased as they are, and always the same."""

from functools import cache

import pytest

from benchmarks.annotators import accuracy
from tutelage.core.errors import UserError
from tutelage.core.randomness import stream
from tutelage.core.text import Response
from tutelage.feedback.tasks.pair import Pair
from tutelage.feedback.tasks.ranking import Ranking
from tutelage.synthetic import annotators, items
from tutelage.synthetic.demonstrations import demonstrate


@cache
def answered(n: int) -> tuple[tuple[items.Item, tuple[Response, ...]], ...]:
    """Prompts with four answers each, as a tuned model would give them."""
    rows = []
    for k, item in enumerate(items.pool("train", 0)[:n]):
        random = stream("answers", k)
        rows.append((item, tuple(Response(demonstrate(random, item)) for _ in range(4))))
    return tuple(rows)


@pytest.mark.parametrize("name", annotators.annotators())
def test_annotators_are_right_as_often_as_people(name: str):
    judged = (annotators.annotate(item.prompt, responses, "ranking", name) for item, responses in answered(1600))
    assert 0.72 <= accuracy(judged, seed=0).mean <= 0.78


def test_what_was_judged_before_is_judged_the_same():
    """Ids of the release before the annotators could do more than rank and compare."""
    item, responses = answered(1600)[7]
    assert annotators.annotate(item.prompt, responses, "ranking", "ann-05").id == "2f7819b7a2da2127"
    assert annotators.annotate(item.prompt, responses[:2], "pair", "ann-05").id == "a3d756ad086b54da"
    assert annotators.annotate(item.prompt, responses, "ranking", "ann-05").seconds == 19.5


def test_somebody_else_may_shuffle():
    item, responses = answered(1600)[5]
    first = annotators.annotate(item.prompt, responses, "ranking", "ann-11", shown=(3, 2, 1, 0))
    assert first.shown == (3, 2, 1, 0)
    worth = annotators.utilities(item.prompt, responses, "ann-11", (3, 2, 1, 0))
    assert first.answer["tiers"][0][0] == max(range(4), key=lambda place: worth[place])


def test_there_are_twelve():
    assert len(annotators.annotators()) == 12


def test_the_same_question_gets_the_same_answer():
    item, responses = answered(1600)[5]
    once = annotators.annotate(item.prompt, responses, "ranking", "ann-03")
    assert annotators.annotate(item.prompt, responses, "ranking", "ann-03") == once
    assert once.seconds > 0
    changed = [annotators.shown_order(item.prompt, responses, "ann-03", seed) for seed in range(8)]
    assert len(set(changed)) > 1


def test_answers_are_valid_and_from_the_right_task():
    for item, responses in answered(1600)[:40]:
        ranking = annotators.annotate(item.prompt, responses, "ranking", "ann-12")
        Ranking.from_answer(ranking.answer).check(4)
        assert sorted(ranking.shown) == [0, 1, 2, 3]
        pair = annotators.annotate(item.prompt, responses[:2], "pair", "ann-12")
        Pair.from_answer(pair.answer).check(2)


def test_the_same_text_ties():
    item = items.pool("train", 0)[0]
    same = Response(item.right[0])
    (tier,) = annotators.annotate(item.prompt, (same, same, same), "ranking", "ann-01").answer["tiers"]
    assert sorted(tier) == [0, 1, 2]
    assert annotators.annotate(item.prompt, (same, same), "pair", "ann-08").answer == {"winner": "tie"}


def test_utility_belongs_to_the_text_and_not_to_its_place():
    item, responses = answered(1600)[3]
    forward = annotators.utilities(item.prompt, responses, "ann-09", ())
    assert annotators.utilities(item.prompt, responses[::-1], "ann-09", ()) == forward[::-1]
    assert annotators.utilities(item.prompt, responses, "ann-09", (), seed=0) != annotators.utilities(item.prompt, responses, "ann-08", ())


def test_position_counts():
    """Being shown first adds what the table says."""
    item = items.pool("train", 0)[0]
    pair = (Response(item.right[0]), Response("it is very nice of you to ask me that ."))
    first = annotators.utilities(item.prompt, pair, "ann-07", (0, 1))
    last = annotators.utilities(item.prompt, pair, "ann-07", (1, 0))
    assert first[0] - last[0] == pytest.approx(annotators.ANNOTATORS["ann-07"].position)


def test_unknown_annotators_and_tasks_are_refused():
    item, responses = answered(1600)[0]
    with pytest.raises(UserError, match="did you mean 'ann-01'"):
        annotators.annotate(item.prompt, responses, "ranking", "an-01")
    with pytest.raises(UserError, match="not 'rankng'; did you mean 'ranking'"):
        annotators.annotate(item.prompt, responses, "rankng", "ann-01")
    with pytest.raises(UserError, match=r"can do ranking, pair, .*, not 'prompt'"):
        annotators.annotate(item.prompt, (), "prompt", "ann-01")
    with pytest.raises(UserError, match="a pair needs 2 responses; got 4"):
        annotators.annotate(item.prompt, responses, "pair", "ann-01")
    with pytest.raises(UserError, match="a demonstration needs no responses; got 4"):
        annotators.annotate(item.prompt, responses, "demonstration", "ann-01")
