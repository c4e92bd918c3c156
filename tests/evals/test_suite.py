from dataclasses import dataclass

import pytest

from tests.evals.test_measures import PROMPTS, speaks
from tests.evals.world import Table, answer, grade
from tutelage.core.errors import UserError
from tutelage.evals import overall, reward_accuracy
from tutelage.evals.compare import compare_all
from tutelage.evals.eval import Material, Result, Subject
from tutelage.evals.examples import LONGEST, best_median_worst, first
from tutelage.evals.overoptimization import Overoptimization
from tutelage.evals.suite import Meter, declares, load, measure, names


class Heard:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.steps: list[int] = []

    def stage(self, name: str, total_steps: int) -> None:
        self.stages.append((name, total_steps))

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        self.steps.append(step)

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Mine:
    """An outsider's eval."""

    def untestable(self, subject: Subject) -> str | None:
        return None

    def run(self, subject: Subject) -> tuple[Result, ...]:
        return ()


def test_every_eval_of_the_recipes_is_found_by_its_file_name():
    expected = "overall helpful honest harmless heldout forgetting overoptimization diversity reward_accuracy enumerable perplexity samples"
    assert sorted(names()) == sorted(expected.split())
    for name in names():
        each = load(name)
        assert callable(each.run) and callable(each.untestable)
    assert not declares("report")


def test_an_unknown_eval_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"r\.yaml:9: there is no eval 'helpfull'; did you mean 'helpful'"):
        load("helpfull", "r.yaml:9")


def test_an_outsiders_eval_is_named_by_import_path():
    assert isinstance(load(f"{__name__}:Mine"), Mine) or type(load(f"{__name__}:Mine")).__name__ == "Mine"
    with pytest.raises(UserError, match="is no eval"):
        load(f"{__name__}:PROMPTS")
    with pytest.raises(UserError, match="there is no module nowhere"):
        load("nowhere.at.all:X")


def test_baselines_are_kept_once_and_stand_before_what_is_compared_with_them():
    said = [answer("g"), answer("gggg x")]
    sft = Table("sft", Material(prompts=PROMPTS, grade=grade), said={p.last: said for p in PROMPTS})
    judge = Table("reward_model", Material(), kind="reward")
    ppo, other = speaks("ggg", "ppo"), speaks("gg", "ppo_no_ptx")
    for policy in (ppo, other):
        policy.parent, policy.judge = sft, judge
    heard = Heard()
    found = measure([sft, judge, ppo, other], [overall.EVAL, Overoptimization(best_of=2), reward_accuracy.EVAL], Meter(heard))
    assert [(r.eval, r.stage) for r in found.results] == [
        ("overall", "sft best of 2"),
        ("overall", "sft"),
        ("overall", "ppo"),
        ("overall", "ppo_no_ptx"),
        ("kl", "ppo"),
        ("kl", "ppo_no_ptx"),
    ]
    assert {(c.a, c.b) for c in compare_all(found.results) if "best" in c.b} == {(s, "sft best of 2") for s in ("sft", "ppo", "ppo_no_ptx")}
    assert found.untested == ("Accuracy of the reward model: no held-out pairs were given.",)
    assert heard.stages == [("evaluate", 12)] and heard.steps[-1] == 12
    assert sft.released == ppo.released == 1


def test_examples_are_picked_by_rule():
    material = Material(prompts=PROMPTS, grade=grade)
    sft = Table("sft", material, said={p.last: [answer("gg")] for p in PROMPTS})
    ppo = Table("ppo", material, said={p.last: [answer("g" * min(4, n // 3), n != 0)] for n, p in enumerate(PROMPTS)})
    (own,), (before,) = overall.EVAL.run(ppo), overall.EVAL.run(sft)
    examples, rule = best_median_worst(ppo, sft, own, before)
    assert [e.heading for e in examples] == ["Gained most", "In the middle", "Lost most"]
    gains = [float(e.answers[1].note[:4]) - float(e.answers[0].note[:4]) for e in examples]
    assert gains[0] == max(gains) and gains[2] == min(gains)
    assert [a.stage for a in examples[0].answers] == ["sft", "ppo"] and "12 prompts; none was picked by hand" in rule
    alone, rule = best_median_worst(ppo, None, own, None)
    assert [e.heading for e in alone] == ["Best", "In the middle", "Worst"] and rule.startswith("Sorted by value")


def test_one_prompt_gives_one_example():
    material = Material(prompts=PROMPTS[:1], grade=grade)
    ppo = Table("ppo", material, said={PROMPTS[0].last: [answer("g")]})
    assert len(best_median_worst(ppo, None, overall.EVAL.run(ppo)[0], None)[0]) == 1


def test_before_and_after_on_a_users_prompts():
    sft, ppo = speaks("a" * (LONGEST + 5), "sft"), speaks("b", "ppo", finished=False)
    examples, _ = first([sft, ppo], 10)
    assert len(examples) == 10 and [a.stage for a in examples[0].answers] == ["sft", "ppo"]
    assert examples[0].answers[0].text.endswith("(5 more characters)") and examples[0].answers[1].note == "cut at the length limit"
