"""Judged by people: wins, ties and ratings as they were given, and intervals that know who judged."""

from collections.abc import Sequence

import pytest

from tutelage.core import statistics
from tutelage.core.randomness import stream
from tutelage.core.text import Prompt, Response, ask
from tutelage.evals.head_to_head import Asked, Found, alone, longer_won
from tutelage.evals.head_to_head import ask as compare
from tutelage.evals.head_to_head import found as found_of
from tutelage.feedback.annotation import Annotation

PROMPTS = tuple(ask(f"question {n}", family="odd" if n % 2 else "even") for n in range(40))


def said(stage: str, text: str = "") -> list[Response]:
    return [Response(text or f"{stage} says {n}", by=stage) for n in range(len(PROMPTS))]


def pair(prompt: Prompt, winner: object, who: str, stages: tuple[str, str] = ("sft", "ppo")) -> Annotation:
    return Annotation(prompt, tuple(Response(f"by {s}", by=s) for s in stages), "pair", {"winner": winner}, who)


def rating(prompt: Prompt, values: tuple[int, int], who: str, stages: tuple[str, str] = ("sft", "ppo")) -> Annotation:
    return Annotation(prompt, tuple(Response(f"by {s}", by=s) for s in stages), "likert", {"values": list(values)}, who)


def found(annotations: list[Annotation], same: dict[str, Sequence[Prompt]], baseline: str) -> Found:
    """What was found, where each response is of the stage that it names."""
    said_by = {(a.prompt.id, r.id): (r.by,) for a in annotations for r in a.responses if r.by != baseline}
    return found_of(annotations, Asked(baseline, (), said_by, {stage: tuple(prompts) for stage, prompts in same.items()}))


def test_people_are_asked_where_the_answers_differ_and_the_baseline_stands_first():
    ppo = said("ppo")
    ppo[3] = Response("sft says 3", by="ppo")
    asked = compare(PROMPTS, {"sft": said("sft"), "ppo": ppo, "dpo": said("dpo")}, "sft")
    assert asked.same == {"ppo": (PROMPTS[3],), "dpo": ()} and len(asked.pairs) == 79
    assert all([r.by for r in two] in (["sft", "ppo"], ["sft", "dpo"]) for _, two in asked.pairs)


def test_an_answer_that_two_stages_gave_is_asked_about_once_and_counts_for_both():
    asked = compare(PROMPTS, {"sft": said("sft"), "ppo": said("ppo", "the same"), "dpo": said("dpo", "the same")}, "sft")
    assert len(asked.pairs) == 40
    given = [Annotation(prompt, two, "pair", {"winner": int(n % 4 > 0)}, "ab"[n % 2]) for n, (prompt, two) in enumerate(asked.pairs)]
    assert {r.stage: r.mean for r in found_of(given, asked).results} == {"ppo": 0.75, "dpo": 0.75}


def test_an_answer_that_was_cut_is_not_the_same_as_one_that_ends():
    cut = [Response("the same", finished=False, by="ppo") for _ in PROMPTS]
    assert len(compare(PROMPTS, {"sft": said("sft", "the same"), "ppo": cut}, "sft").pairs) == 40


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


def test_the_same_answer_is_a_tie_of_one_prompt():
    given = [pair(p, int(n % 4 != 0), "a") for n, p in enumerate(PROMPTS[:20])]
    (tied,) = found(given, {"ppo": PROMPTS[20:]}, "sft").results
    values = [float(n % 4 != 0) for n in range(20)] + [0.5] * 20
    expected = statistics.mean(values)
    assert tied.mean == pytest.approx(expected.mean) and tied.n == 40
    assert tied.high - tied.low == pytest.approx(expected.high - expected.low, rel=0.05)  # Student's t knows of 20 prompts, not of 40


@pytest.mark.parametrize("wins", [(1,), (1, 1), (0, 0, 0), (1, 1, 1, 0), ("tie", "tie")])
def test_few_prompts_give_an_interval_that_is_within_its_ends_and_open(wins: tuple[object, ...]):
    given = [pair(p, won, who) for p, won in zip(PROMPTS, wins) for who in "ab"]
    given += [rating(p, (3, 6), who) for p, _ in zip(PROMPTS, wins) for who in "ab"]
    told = found(given, {"ppo": []}, "sft")
    for result, (low, high) in zip(told.results, ((0, 1), (1, 7), (1, 7))):
        assert low <= result.low < result.mean < result.high <= high or (
            result.mean in (result.low, result.high) and result.low < result.high
        )
    assert len(wins) > 3 or all(one.verdict == "not shown" for one in told.comparisons), told.comparisons


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
    assert (told.mean, told.low, told.high) == pytest.approx((expected.mean, expected.low, min(1.0, expected.high)))
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
    given = [pair(p, 1, "abcdefgh"[n % 8]) for n, p in enumerate(PROMPTS[:20])]
    given += [rating(p, (3, 3 + n % 2), "ab"[n // 2 % 2]) for n, p in enumerate(PROMPTS[:20])]
    preferred, quality = found(given, {"ppo": PROMPTS[20:30]}, "sft").comparisons
    assert (preferred.a, preferred.b, preferred.difference, preferred.verdict) == ("ppo", "sft", pytest.approx(1 / 3), "better")
    assert quality.difference == pytest.approx(0.5 * 20 / 30) and quality.n == 30 and quality.low < quality.difference < quality.high


def verdicts(winners: Sequence[tuple[object, object]], lengths: tuple[int, int] = (3, 9)) -> tuple[list[Annotation], Asked]:
    """A judge's two verdicts on each prompt, the second with the answers in reverse; one answer of so many letters, one of so many more."""
    texts = tuple(Response("x" * n + stage, by=stage) for n, stage in zip(lengths, ("sft", "ppo")))
    given = [
        Annotation(prompt, texts, "pair", {"winner": winner}, "judge:j", 0.5, shown)
        for prompt, two in zip(PROMPTS, winners)
        for winner, shown in zip(two, ((0, 1), (1, 0)))
    ]
    return given, Asked("sft", (), {(prompt.id, texts[1].id): ("ppo",) for prompt in PROMPTS}, {"ppo": ()})


def test_two_orders_of_one_pair_are_one_judgement_of_who_judged():
    two = [((1, 1), (1, 0), (0, 0), ("tie", 1))[n % 4] for n in range(40)]
    given, asked = verdicts(two)
    (told,) = found_of(given, asked, "judge:j").results
    means = [(1.0, 0.5, 0.0, 0.75)[n % 4] for n in range(40)]
    expected = statistics.mean(means)
    assert (told.eval, told.measure.title) == ("preferred_by_judge", "Preferred over sft, by judge:j")
    assert (told.mean, told.low, told.high, told.n) == pytest.approx((expected.mean, expected.low, expected.high, 40))
    assert [sample.value for sample in told.samples] == means


def test_how_often_the_longer_answer_won_is_a_share_of_what_was_decided():
    two = [((1, 1), (1, 0), ("tie", "tie"), ("tie", 0))[n % 4] for n in range(40)]
    given, asked = verdicts(two)
    (told,) = longer_won(given, asked, "judge:j")
    decided = [(float(won == 1), n) for n, pair_ in enumerate(two) for won in pair_ if won != "tie"]
    expected = statistics.mean([value for value, _ in decided], [n for _, n in decided])
    assert (told.mean, told.low, told.high, told.n) == pytest.approx((0.6, expected.low, expected.high, 50))
    assert not longer_won(*verdicts(two, (3, 3)), "judge:j"), "of one length, neither is the longer"
    assert not longer_won(*verdicts([("tie", "tie")] * 40), "judge:j")
