"""Each eval against numbers worked out by hand."""

import math

import numpy as np
import pytest

from tests.evals.world import Table, answer, grade, prompts
from tutelage.core.errors import UserError
from tutelage.core.text import Demonstration, Document, Response, ask
from tutelage.evals import (
    diversity,
    enumerable,
    forgetting,
    helpful,
    honest,
    overall,
    overoptimization,
    perplexity,
    reward_accuracy,
    samples,
)
from tutelage.evals.eval import Cloze, Enumerable, Material, Pair
from tutelage.evals.probe import curves, graded_rows, probe
from tutelage.evals.skills import of_world
from tutelage.synthetic.enumerable import optimum

PROMPTS = prompts(12)


def speaks(text: str, stage: str = "ppo", finished: bool = True) -> Table:
    return Table(stage, Material(prompts=PROMPTS, grade=grade), said={p.last: [answer(text, finished)] * 8 for p in PROMPTS})


def test_gold_grades_one_answer_per_prompt():
    (found,) = overall.EVAL.run(speaks("gg"))
    assert (found.mean, found.n, found.stage) == (0.5, 12, "ppo")
    (cut,) = overall.EVAL.run(speaks("gg", finished=False))
    assert cut.mean == 0.0


def test_an_aspect_is_measured_where_it_applies():
    (found,) = honest.EVAL.run(speaks("ggg"))
    assert (found.mean, found.n) == (0.75, 4)
    assert helpful.EVAL.run(speaks("ggg"))[0].n == 12


def test_gold_that_nobody_knows_is_not_tested():
    assert "nobody knows the truth" in (overall.EVAL.untestable(Table(material=Material(prompts=PROMPTS))) or "")
    assert "no prompts" in (overall.EVAL.untestable(Table(material=Material(grade=grade))) or "")
    assert overall.EVAL.untestable(Table(kind="reward")) == ""
    assert overall.EVAL.untestable(speaks("g")) is None


def test_perplexity_is_over_all_tokens():
    texts = (Document("a"), Document("b"))
    subject = Table(material=Material(documents=texts), nats={"a": (10.0, 10), "b": (60.0, 20)})
    (found,) = forgetting.EVAL.run(subject)
    assert found.mean == pytest.approx(math.exp(70 / 30)) and found.n == 2 and not found.measure.higher_is_better


def test_forgetting_asks_demonstrations_and_skills_too():
    rows = (Demonstration(ask("q"), Response("r")),)
    cloze = (Cloze("two and two", ("is 4 .", "are 4 ."), "sums"), Cloze("one and one", ("is 2 .",), "sums"))
    subject = Table(
        material=Material(demonstrations=rows, cloze=cloze),
        nats={"r": (2.0, 4)},
        goes_on={"two and two": "are 4 . then", "one and one": "is 3 ."},
    )
    found = {r.eval: r.mean for r in forgetting.EVAL.run(subject)}
    assert found == {"forgetting_demonstrations": pytest.approx(math.exp(0.5)), "forgetting_skills": 0.5}
    assert forgetting.EVAL.untestable(Table()) == "Forgetting: no held-out text was given."


def test_a_users_own_data_has_perplexity_on_demonstrations_first():
    rows = (Demonstration(ask("q"), Response("r")),)
    subject = Table(material=Material(documents=(Document("a"),), demonstrations=rows), nats={"r": (2.0, 4), "a": (3.0, 3)})
    assert [r.eval for r in perplexity.EVAL.run(subject)] == ["perplexity", "perplexity_text"]


def test_distinct_pairs_of_words():
    same, other = ["a", "b", "c"], ["d", "e", "f"]
    assert diversity.distinct([same, same], 2) == 0.5
    assert diversity.distinct([same, other], 2) == 1.0
    assert diversity.distinct([["a"], ["a"], []], 2) == pytest.approx(2 / 3)  # short and empty answers count whole


def test_overlap_of_answers():
    assert diversity.overlap([["a", "b", "c", "d", "e"]] * 3) == 1.0
    assert diversity.overlap([["a", "b"], ["c", "d"]]) == 0.0
    # a b against a c: one of two words, none of one pair; both ways.
    assert diversity.overlap([["a", "b"], ["a", "c"]]) == pytest.approx(0.25)
    assert diversity.overlap([[], []]) == 1.0 and diversity.overlap([[], ["a"]]) == 0.0


def test_diversity_gives_the_entropy_of_answers():
    subject = Table(material=Material(prompts=PROMPTS), said={p.last: [answer("a b", nats=1.0), answer("c d", nats=3.0)] for p in PROMPTS})
    found = {r.eval: r.mean for r in diversity.Diversity(prompts=5, samples=2).run(subject)}
    assert found == {"diversity": 1.0, "diversity_overlap": 0.0, "diversity_entropy": 2.0}
    assert diversity.Diversity(prompts=5, samples=2).run(subject)[0].n == 5


def test_prompts_are_spread_over_the_whole_set():
    assert diversity.spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert diversity.spread(range(3), 5) == range(3)


def pair(better: str, worse: str, gap: float = 1.0, n: int = 0) -> Pair:
    return Pair(ask(f"prompt {n}"), Response(better), Response(worse), gap)


def test_the_reward_model_is_held_against_the_best_single_feature():
    pairs = (
        pair("x a b", "c", n=0),
        pair("x", "c d e", n=1),
        pair("a b c", "d", n=2),
        pair("x x", "x", n=3),
        pair("a", "x", 0.05, n=4),
    )
    judge = Table("reward_model", Material(pairs=pairs), kind="reward")
    own, feature = reward_accuracy.EVAL.run(judge)
    assert (own.stage, own.mean, own.n) == ("reward_model", pytest.approx(3.5 / 4), 4)  # a tie is half; the close pair is left out
    assert (feature.stage, feature.mean) == ("longer answers", 0.75)
    assert reward_accuracy.EVAL.untestable(Table(kind="policy")) == ""
    assert "no held-out pairs" in (reward_accuracy.EVAL.untestable(Table(kind="reward")) or "")


def test_features_may_point_either_way():
    pairs = [pair("no", "sorry , i am not able", n=n) for n in range(4)]
    found = reward_accuracy.best_feature(pairs)
    assert found.mean == 1.0 and found.stage in ("shorter answers", "fewer politeness", "fewer refusal words")


def test_pairs_from_gold_are_those_that_differ_enough():
    said = [[answer("gggg"), answer("g"), answer("g", finished=False)], [answer("g"), answer("g"), answer("g")]]
    found = reward_accuracy.gold_pairs(PROMPTS[:2], said, lambda p, t, f: grade(p, t, f).overall, 0.1)
    assert [(p.better.text, p.worse.text, p.worse.finished, p.gap) for p in found] == [
        ("gggg", "g", True, 0.75),
        ("gggg", "g", False, 1.0),
        ("g", "g", False, 0.25),
    ]


def rows(gold: np.ndarray) -> list[dict[str, object]]:
    """A curve [steps, prompts]."""
    return [probe(8 * n, gold[n].tolist(), [0.0, 1.0] * (gold.shape[1] // 2), [2.0, 3.0] * (gold.shape[1] // 2)) for n in range(len(gold))]


def test_gold_lost_since_the_peak():
    gold = np.tile([[0.4], [0.7], [0.5]], (1, 128)) + np.linspace(-0.1, 0.1, 128)
    found = overoptimization.lost(rows(gold))
    assert np.mean([s.value for s in found]) == pytest.approx(0.2) and len(found) == 128


def test_noise_alone_loses_nothing():
    lost = [
        np.mean([s.value for s in overoptimization.lost(rows(np.random.default_rng(seed).normal(0.5, 0.3, (7, 64))))])
        for seed in range(200)
    ]
    naive = [np.random.default_rng(seed).normal(0.5, 0.3, (7, 64)).mean(1) for seed in range(200)]
    assert abs(np.mean(lost)) < 0.01
    assert np.mean([g.max() - g[-1] for g in naive]) > 0.03  # what picking the peak on the same prompts would claim


def test_curves_are_by_name_and_stage():
    found = curves({"ppo": rows(np.full((2, 4), 0.5)), "dpo": []})
    assert set(found) == {"gold", "proxy", "kl"} and set(found["kl"]) == {"ppo"}
    assert found["kl"]["ppo"][1]["step"] == 8 and found["kl"]["ppo"][1]["value"] == 2.5
    assert found["kl"]["ppo"][1]["low"] < 2.5 < found["kl"]["ppo"][1]["high"]
    assert "gold" not in curves({"ppo": [probe(0, None, [1.0, 2.0], [1.0, 2.0])]})


def test_the_baseline_is_the_best_of_n_by_the_same_reward_model():
    said = [answer("gg"), answer("gggg x"), answer("g xx", finished=False), answer("g xxx")]
    sft = Table("sft", Material(prompts=PROMPTS, grade=grade), said={p.last: said for p in PROMPTS})
    ppo = speaks("g")
    ppo.parent, ppo.judge = sft, Table("reward_model", kind="reward")
    kl, best = overoptimization.Overoptimization(best_of=3).run(ppo)
    assert (best.eval, best.stage, best.mean) == ("overall", "sft best of 3", 1.0)  # not the cut one, though it has more x
    assert (kl.eval, kl.mean, kl.n) == ("kl", 2.5, 12)
    four = overoptimization.Overoptimization(best_of=4).run(ppo)[-1]
    assert (four.stage, four.mean) == ("sft best of 4", 0.25)  # the judge is fooled: that is what the line shows
    ppo.curve = rows(np.full((3, 12), 0.5))
    assert [r.eval for r in overoptimization.EVAL.run(ppo)] == ["overoptimization", "kl", "overall"]
    assert overoptimization.EVAL.untestable(sft) == ""


def test_the_exact_optimum_has_share_one_and_the_start_less():
    answers, rewards, beta = ("a", "b", "c"), (1.0, 0.2, -0.5, -1.0), 0.5
    reference = np.array([0.2, 0.3, 0.4, 0.1])
    best = optimum(reference, np.array(rewards), beta)
    task = Enumerable(ask("name one"), answers, rewards, beta)

    def policy(stage: str, p: np.ndarray, parent: Table | None) -> Table:
        nats = {a: (-math.log(p[n]), 2) for n, a in enumerate(answers)}
        return Table(stage, Material(enumerable=task), nats=nats, parent=parent, judge=Table("reward_model", kind="reward"))

    sft = policy("sft", reference, None)
    (found,) = enumerable.EVAL.run(policy("ppo", best.probabilities, sft))
    assert (found.mean, found.n) == (pytest.approx(1.0), 1)
    (same,) = enumerable.EVAL.run(policy("ppo", reference, sft))
    assert same.mean == pytest.approx(float(reference @ rewards) / best.value)
    assert enumerable.EVAL.untestable(sft) == ""


def test_an_optimum_without_value_is_refused():
    task = Enumerable(ask("name one"), ("a",), (-1.0, -2.0), 0.5)
    sft = Table("sft", Material(enumerable=task), nats={"a": (0.5, 1)})
    with pytest.raises(UserError, match="shift the rewards"):
        enumerable.EVAL.run(Table("ppo", sft.material, nats=sft.nats, parent=sft))


def test_samples_count_how_many_end():
    said = {p.last: [answer("a", finished=n % 4 > 0)] for n, p in enumerate(PROMPTS)}
    (found,) = samples.EVAL.run(Table(material=Material(prompts=PROMPTS), said=said))
    assert found.mean == 0.75


def test_skills_are_different_questions_with_their_answers():
    found = of_world(60)
    assert len({c.text for c in found}) == 60 and len({c.family for c in found}) == 6
    assert all(c.answers and forgetting.begins(c.answers[0] + " more", c.answers) for c in found)
    assert found == of_world(60) and found != of_world(60, seed=1)


def test_what_training_wrote_down_is_graded_afterwards():
    look = {
        "step": 8,
        "prompts": [p.id for p in PROMPTS[:2]],
        "answers": ["gg", "gggg"],
        "finished": [True, False],
        "proxy": [1.0, 3.0],
        "kl": [0.5, 1.5],
    }
    by_id = {p.id: p for p in PROMPTS}
    (row,) = graded_rows([look], by_id, lambda p, t, f: grade(p, t, f).overall)
    assert (row["step"], row["gold"], row["proxy"], row["kl"], row["gold_by_prompt"]) == (8, 0.25, 2.0, 1.0, [0.5, 0.0])
    (blind,) = graded_rows([look], by_id, None)
    assert "gold" not in blind and blind["proxy"] == 2.0


def test_a_policy_trained_on_a_rule_has_its_kl_measured_without_a_baseline():
    ppo = speaks("g")
    ppo.parent, ppo.curve = speaks("gg", "sft"), rows(np.full((3, 12), 0.5))
    assert overoptimization.EVAL.untestable(ppo) is None
    assert [r.eval for r in overoptimization.EVAL.run(ppo)] == ["overoptimization", "kl"]
