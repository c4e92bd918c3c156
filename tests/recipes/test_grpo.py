"""The grpo stage at nano size, from a reward model and from a rule; killed and gone on with. No effect is claimed at this size."""

import shutil
from pathlib import Path

import pytest

from tests.recipes.pages import page
from tutelage.core.errors import UserError
from tutelage.core.files import JsonLines
from tutelage.core.progress import Silent
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

RULE = "tests.recipes.test_grpo:early"
PAGE = f"""\
schema: 1
model: {{new: nano}}
inputs: {{text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}}
stages:
  base:         {{method: pretrain, data: text, tokens: 8000}}
  preferences:  {{method: label, policy: base, prompts: prompts, split: label, count: 24, responses: 4, task: ranking,
                 by: synthetic:annotators, sampling: {{max_tokens: 8}}}}
  reward_model: {{method: reward, init: base, preferences: preferences}}
  grpo:         {{method: grpo, init: base, reward_model: reward_model, prompts: prompts, updates: 2, max_tokens: 8, probe_every: 1,
                 probe_prompts: 4, rollouts: {{prompts: 4, samples: 4, epochs: 2, minibatches: 2, cut_score: null}},
                 machine: {{checkpoint_every: 1}}, ptx: {{data: text, coef: 0.1, tokens: 64}}}}
  rloo:         {{like: grpo, reward_model: "{RULE}", baseline: leave_one_out, scale: none, kl_coef: 0.0, loss: {{kl_coef: 0.05}},
                 adapter: {{rank: 2}}, ptx: null}}
"""


def early(prompt, response):
    """Likes words that stand early in the vocabulary."""
    return sum(i < 200 for i in response.ids) / len(response.ids)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return page(tmp_path_factory.mktemp("recipe"), PAGE)


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp("grpo") / "run"
    return run(load(recipe), out)


def rows(outcome, stage, name="metrics"):
    return list(JsonLines(outcome.artifacts[stage].path / f"{name}.jsonl").read())


def test_it_tells_what_it_learns_and_has_no_value(finished):
    told = rows(finished, "grpo")
    assert [row["step"] for row in told] == list(range(1, 9))
    assert all({"grpo/policy", "grpo/clip_share", "ptx/nll"} <= set(row) for row in told)
    assert [row["step"] for row in told if "kl" in row] == [1, 5], "figures of a round stand at its first step"
    assert told[0]["kl"] == 0.0 and told[0]["equal"] < 1 and 0 < told[0]["length"] <= 8
    assert not any("value" in name for row in told for name in row)
    looks = rows(finished, "grpo", "probes")
    assert [look["step"] for look in looks] == [0, 4, 8] and looks[0]["kl"] == [0.0] * 4 and any(looks[-1]["kl"])


def test_with_the_kl_in_the_loss_the_round_brings_the_reference_with_it(finished):
    told = rows(finished, "rloo")
    assert told[0]["k3@reference"] < 1e-4 < told[-1]["k3@reference"] and told[0]["kl"] == 0.0
    assert (finished.artifacts["rloo"].path / "adapter").is_dir() and told[0]["equal"] < 1
    made = finished.artifacts["rloo"].results
    assert made["steps"] == 8 and made["weights"] != finished.artifacts["base"].results["weights"]


class Killed(Silent):
    """Stops everything at a step of a stage, as Ctrl-C does: what is on disk then is what a kill leaves."""

    def __init__(self, stage, step):
        self.at, self.stage_ = (stage, step), ""

    def stage(self, name, total_steps):
        self.stage_ = name

    def tick(self, step, tokens, **figures):
        if (self.stage_, step) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stage, step", [("grpo", 6), ("rloo", 3)])
def test_stopped_anywhere_and_gone_on_with_it_ends_with_the_same_weights(recipe, finished, stage, step, tmp_path):
    out = Path(shutil.copytree(finished.path, tmp_path / "run"))
    shutil.rmtree(out / "artifacts" / finished.artifacts[stage].path.name)
    with pytest.raises(KeyboardInterrupt):
        run(load(recipe), out, Killed(stage, step))
    again = run(load(recipe), out)
    assert again.artifacts[stage].results["weights"] == finished.artifacts[stage].results["weights"]
    assert rows(again, stage) == rows(finished, stage) and list(again.ran) == [stage]


def test_a_run_without_a_kl_reads_no_reference(recipe, tmp_path, finished):
    out = Path(shutil.copytree(finished.path, tmp_path / "run"))
    plain = run(load(recipe, ["stages.grpo.kl_coef=0", "stages.grpo.probe_every=0", "stages.grpo.updates=1"]), out)
    assert not any("kl" in row for row in rows(plain, "grpo"))


@pytest.mark.parametrize(
    "override, said",
    [
        ("stages.grpo.rollouts.samples=1", "stages.grpo.rollouts.samples: a response is measured by the others"),
        ("stages.grpo.loss.kl_coef=0.1", "the KL is in the reward already; set kl_coef: 0"),
        ("stages.grpo.rollouts.minibatches=7", "7 is more than the 4 prompts of a round"),
        ("stages.grpo.scale=grop", "stages.grpo.scale"),
        ("stages.grpo.baseline=median", "stages.grpo.baseline"),
        ("stages.grpo.loss.per=word", "stages.grpo.loss.per"),
        ("stages.grpo.loss.clip=1.5", "stages.grpo.loss.clip"),
        ("stages.grpo.value_rates={learning_rate: 0.1}", "unknown setting of grpo"),
        ("stages.grpo.reward_model=base", "reward_model"),
        ("stages.grpo.split=all", "set probe_every: 0"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(recipe, override, said):
    with pytest.raises(UserError) as fault:
        load(recipe, [override])
    assert said in str(fault.value) and "\n" not in str(fault.value)
