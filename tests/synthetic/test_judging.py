"""What simulated annotators say to each task: valid, of one mind, and closer to the truth than chance."""

from functools import cache
from statistics import mean

import pytest

from tutelage.core.randomness import stream
from tutelage.core.text import Response
from tutelage.feedback import tasks, written
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.signals import Label
from tutelage.synthetic import annotators, items
from tutelage.synthetic.annotators import annotate
from tutelage.synthetic.demonstrations import demonstrate
from tutelage.synthetic.gold import Gold, opened
from tutelage.synthetic.judging import TASKS, squashed

K = {"pair": 2, "demonstration": 0}


@cache
def answered(n: int = 300) -> tuple[tuple[items.Item, tuple[Response, ...]], ...]:
    """Prompts with four answers each, as a tuned model would give them."""
    rows = []
    for k, item in enumerate(items.pool("train", 0)[:n]):
        random = stream("judged answers", k)
        rows.append((item, tuple(Response(demonstrate(random, item)) for _ in range(4))))
    return tuple(rows)


@cache
def judged(task: str, name: str = "ann-03", n: int = 300) -> tuple[Annotation, ...]:
    return tuple(annotate(item.prompt, responses[: K.get(task, 4)], task, name) for item, responses in answered(n))


def gold(annotation: Annotation, text: str) -> float:
    with opened("annotators"):
        return Gold(0).scores(annotation.prompt, text).overall


def test_they_do_every_task_but_inventing_prompts():
    assert set(TASKS) == set(tasks.names()) - {"prompt"}


@pytest.mark.parametrize("task", sorted(TASKS))
def test_answers_are_valid_and_always_the_same(task: str):
    for annotation in judged(task)[:60]:
        tasks.answer_of(annotation)
        again = annotate(annotation.prompt, annotation.responses, task, annotation.annotator)
        assert again == annotation and again.id == annotation.id
    others = judged(task, "ann-07", 60)
    assert [a.answer for a in others] != [a.answer for a in judged(task)[:60]]


def test_one_person_is_of_one_mind():
    """Whoever stands higher in the ranking has no lower rating, score or verdict, and best and worst are its ends."""
    for n in range(100):
        said = {task: judged(task)[n].answer for task in ("ranking", "likert", "score", "binary", "best_worst")}
        tiers = said["ranking"]["tiers"]
        order = [place for tier in tiers for place in tier]
        for values in (said["likert"]["values"], said["score"]["values"], said["binary"]["good"]):
            assert [values[place] for place in order] == sorted(values, reverse=True)
        assert said["best_worst"] == {"best": order[0], "worst": order[-1]}


@pytest.mark.parametrize("task", ["likert", "score", "binary"])
def test_labels_rise_with_the_truth(task: str):
    good, bad = [], []
    for annotation in judged(task):
        for signal in tasks.signals_of(annotation):
            assert isinstance(signal, Label)
            (good if gold(annotation, annotation.responses[signal.response].text) > 0.5 else bad).append(signal.value)
    assert len(good) > 100 < len(bad) and mean(good) > mean(bad) + 0.15


def test_every_rating_is_used():
    found = [value for name in ("ann-03", "ann-08") for a in judged("likert", name) for value in a.answer["values"]]
    assert {n for n in range(1, 8) if found.count(n) / len(found) >= 0.03} == set(range(1, 8))


def test_worth_is_squashed_between_its_ends():
    assert [round(1 + 6 * squashed(worth)) for worth in (-2, 0, 0.5, 1, 3)] == [1, 2, 4, 6, 7]


def test_strength_and_range_are_those_of_the_study():
    options = tasks.load("pair").Options(strength=True)
    strengths = []
    for item, responses in answered()[:100]:
        strong = annotate(item.prompt, responses[:2], "pair", "ann-03", options=options).answer
        plain = annotate(item.prompt, responses[:2], "pair", "ann-03").answer
        assert strong["winner"] == plain["winner"] and "strength" not in plain
        strengths.append(strong.get("strength", 0))
    assert set(strengths) >= {1, 2, 3}
    wide = annotate(*question(), "score", "ann-03", options=tasks.load("score").Options(0, 100)).answer
    narrow = annotate(*question(), "score", "ann-03").answer
    assert wide == {"values": [value * 10 for value in narrow["values"]], "low": 0, "high": 100}


def test_demonstrations_are_those_of_people_in_a_hurry():
    scores = [gold(a, a.answer["text"]) for a in judged("demonstration")]
    assert 0.4 < mean(scores) < 0.9 and max(scores) == 1
    assert len({a.answer["text"] for a in judged("demonstration")}) > 100


def test_edits_make_responses_better_or_leave_them():
    pairs = list(written.edits(judged("edit")))
    assert 100 < len(pairs) < 300
    before, after = ([gold(pair, pair.responses[place].text) for pair in pairs] for place in (1, 0))
    assert mean(after) > 0.95 > 0.7 > mean(before)
    left = [a for a in judged("edit") if a.answer["text"] == a.responses[a.answer["response"]].text]
    assert left, "somebody finds nothing to correct"


def test_writing_takes_longer_than_judging():
    assert mean(a.seconds for a in judged("demonstration")) > mean(a.seconds for a in judged("pair")) > 0
    rating, edit = judged("likert")[0], judged("edit")[0]
    assert edit.seconds > rating.seconds == annotators.seconds(rating.prompt, rating.responses, "ann-03")


def test_writing_is_not_one_person_s_alone():
    texts = [annotate(answered()[0][0].prompt, (), "demonstration", name).answer["text"] for name in annotators.annotators()]
    assert len(set(texts)) > 1


def question():
    item, responses = answered()[0]
    return item.prompt, responses
