"""Judged by people: wins, ties and ratings as they were given, and intervals that know who judged."""

import pytest

from tutelage.core import statistics
from tutelage.core.randomness import stream
from tutelage.core.text import Prompt, Response, ask
from tutelage.evals.head_to_head import alone, asked, found
from tutelage.feedback.annotation import Annotation

PROMPTS = tuple(ask(f"question {n}", family="odd" if n % 2 else "even") for n in range(40))


def said(stage: str, text: str = "") -> list[Response]:
    return [Response(text or f"{stage} says {n}", by=stage) for n in range(len(PROMPTS))]


def pair(prompt: Prompt, winner: object, who: str, stages: tuple[str, str] = ("sft", "ppo")) -> Annotation:
    return Annotation(prompt, tuple(Response(f"by {s}", by=s) for s in stages), "pair", {"winner": winner}, who)


def rating(prompt: Prompt, values: tuple[int, int], who: str, stages: tuple[str, str] = ("sft", "ppo")) -> Annotation:
    return Annotation(prompt, tuple(Response(f"by {s}", by=s) for s in stages), "likert", {"values": list(values)}, who)


def test_people_are_asked_where_the_answers_differ_and_the_baseline_stands_first():
    ppo = said("ppo")
    ppo[3] = Response("sft says 3", by="ppo")
    different, same = asked(PROMPTS, {"sft": said("sft"), "ppo": ppo, "dpo": said("dpo")}, "sft")
    assert same == {"ppo": [PROMPTS[3]], "dpo": []} and len(different) == 79
    assert all([r.by for r in two] in (["sft", "ppo"], ["sft", "dpo"]) for _, two in different)


def test_an_answer_that_was_cut_is_not_the_same_as_one_that_ends():
    cut = [Response("the same", finished=False, by="ppo") for _ in PROMPTS]
    assert len(asked(PROMPTS, {"sft": said("sft", "the same"), "ppo": cut}, "sft")[0]) == 40


def test_wins_ties_and_both_bad_are_one_a_half_and_a_half():
    given = [pair(PROMPTS[0], 1, "a"), pair(PROMPTS[1], 0, "a"), pair(PROMPTS[2], "tie", "a"), pair(PROMPTS[3], "both_bad", "a")]
    (preferred,) = found(given, {"ppo": []}, "sft").results
    assert (preferred.eval, preferred.stage, preferred.mean, preferred.n) == ("preferred", "ppo", 0.5, 4)
    assert [s.value for s in preferred.samples] == [1.0, 0.0, 0.5, 0.5]


def test_who_wins_goes_by_who_said_it_not_by_place():
    (preferred,) = found([pair(PROMPTS[0], 0, "a", ("ppo", "sft")), pair(PROMPTS[1], 1, "b")], {"ppo": []}, "sft").results
    assert preferred.mean == 1.0


def test_every_prompt_counts_the_same_however_many_judged_it():
    given = [*(pair(PROMPTS[0], 1, who) for who in "abcd"), pair(PROMPTS[1], 0, "a")]
    assert found(given, {"ppo": []}, "sft").results[0].mean == pytest.approx(0.5)


def test_the_same_answer_is_a_tie_that_pulls_the_interval_in():
    given = [pair(p, int(n % 4 != 0), "ab"[n % 2]) for n, p in enumerate(PROMPTS[:20])]
    (alone_,), (tied,) = (found(given, {"ppo": n}, "sft").results for n in ((), PROMPTS[20:]))
    assert alone_.mean == 0.75 and tied.mean == pytest.approx(0.625) and tied.n == 40
    assert tied.high - tied.low == pytest.approx((alone_.high - alone_.low) / 2)


def test_intervals_are_clustered_by_prompt_and_by_annotator():
    given, wins, who = [], [], []
    for name in ("kind", "plain", "strict", "stern"):
        harsh = stream("harsh", name).random()
        for prompt in PROMPTS:
            wins.append(float(stream("judged", name, prompt.id).random() > harsh))
            who.append(name)
            given.append(pair(prompt, int(wins[-1]), name))
    (told,) = found(given, {"ppo": []}, "sft").results
    prompts = [p.id for p in PROMPTS] * 4
    expected = statistics.mean(wins, prompts, crossed=who)
    assert (told.mean, told.low, told.high) == pytest.approx((expected.mean, expected.low, expected.high))
    by_prompt = statistics.mean(wins, prompts)
    assert told.high - told.low > 1.5 * (by_prompt.high - by_prompt.low)


def test_quality_is_rated_for_every_stage_the_baseline_among_all_its_pairs():
    given = [rating(PROMPTS[0], (2, 6), "a"), rating(PROMPTS[1], (4, 5), "b"), rating(PROMPTS[0], (3, 7), "b", ("sft", "dpo"))]
    told = {r.stage: r.mean for r in found(given, {"ppo": [], "dpo": []}, "sft").results}
    assert told == pytest.approx({"sft": 3.25, "ppo": 5.5, "dpo": 7.0})  # the first prompt's 2 and 3 are one prompt's


def test_one_person_alone_is_said_and_clustered_by_prompt():
    given = [pair(p, 1 if n % 3 else 0, "a") for n, p in enumerate(PROMPTS)]
    (told,) = found(given, {"ppo": []}, "sft").results
    assert alone(given) and not alone([*given, pair(PROMPTS[0], 1, "b")])
    assert 0 < told.high - told.low < 0.4


def test_against_the_baseline_a_half_is_nothing_and_ratings_are_compared_where_one_person_gave_both():
    given = [pair(p, 1, "ab"[n % 2]) for n, p in enumerate(PROMPTS[:20])]
    given += [rating(p, (3, 3 + n % 2), "ab"[n // 2 % 2]) for n, p in enumerate(PROMPTS[:20])]
    preferred, quality = found(given, {"ppo": PROMPTS[20:30]}, "sft").comparisons
    assert (preferred.a, preferred.b, preferred.difference, preferred.verdict) == ("ppo", "sft", pytest.approx(1 / 3), "better")
    assert quality.difference == pytest.approx(0.5 * 20 / 30) and quality.n == 30 and quality.low < quality.difference < quality.high
