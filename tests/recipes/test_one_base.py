"""PPO whose roles share networks: adapters of one base, a value that is a head; at nano size. No effect is claimed at this size."""

import pytest

from tests.recipes.pages import page
from tutelage.core.files import JsonLines
from tutelage.objectives.ppo import PPO
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.recipes.stages.ppo import Ppo

RULE = "tests.recipes.test_aligning:early"
PAGE = f"""\
schema: 1
model: {{new: nano}}
inputs: {{text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}}
stages:
  base:        {{method: pretrain, data: text, tokens: 8000}}
  preferences: {{method: label, policy: base, prompts: prompts, split: label, count: 24, responses: 4, task: ranking,
                by: synthetic:annotators, sampling: {{max_tokens: 8}}}}
  judge:       {{method: reward, init: base, preferences: preferences, adapter: {{rank: 2}}}}
  whole_judge: {{like: judge, adapter: null}}
  own:         {{method: ppo, init: base, reward_model: judge, prompts: prompts, updates: 2, max_tokens: 8, probe_every: 1,
                probe_prompts: 4, rollouts: {{prompts: 8, samples: 2, epochs: 2, minibatches: 2, cut_score: null}}}}
  shared:      {{like: own, value: shared}}
  one_base:    {{like: own, adapter: {{rank: 2}}}}
  one_head:    {{like: own, adapter: {{rank: 2}}, value: shared}}
  two_bases:   {{like: own, adapter: {{rank: 2}}, reward_model: whole_judge}}
  by_rule:     {{like: own, adapter: {{rank: 2}}, reward_model: "{RULE}"}}
"""
NETWORKS = {"own": 4, "shared": 3, "one_base": 1, "one_head": 1, "two_bases": 2, "by_rule": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(load(page(tmp_path_factory.mktemp("recipe"), PAGE)), tmp_path_factory.mktemp("bases") / "run")


def rows(outcome, stage):
    return list(JsonLines(outcome.artifacts[stage].path / "metrics.jsonl").read())


@pytest.mark.parametrize("stage", NETWORKS)
def test_no_more_networks_than_there_must_be(finished, stage):
    artifact, base = finished.artifacts[stage], finished.artifacts["base"]
    assert artifact.results["networks"] == NETWORKS[stage] and artifact.results["parameters"] == base.results["parameters"]
    assert (artifact.path / "adapter").is_dir() == (stage not in ("own", "shared"))


@pytest.mark.parametrize("stage", NETWORKS)
def test_it_begins_as_its_reference_and_policy_and_value_both_learn(finished, stage):
    first, *_, last = told = rows(finished, stage)
    assert len(told) == 8 and first["kl"] == 0.0 and first["ratio"] == pytest.approx(1, abs=0.01) and first["value_error"] > 0
    assert last["value_error"] != first["value_error"] and told[4]["kl"] != 0.0
    assert finished.artifacts[stage].results["weights"] != finished.artifacts["base"].results["weights"]


def test_a_judge_that_is_an_adapter_scores_as_its_merged_weights_do(finished):
    """The first round is written by the same policy, so its mean score differs by rounding alone; another judge's doesn't."""
    scores = {stage: rows(finished, stage)[0]["score"] for stage in NETWORKS}
    assert scores["one_base"] == scores["one_head"] == pytest.approx(scores["own"], abs=0.01)
    assert abs(scores["two_bases"] - scores["own"]) > 0.04


def test_a_shared_value_weighs_a_tenth_where_nothing_is_said(finished, monkeypatch):
    asked = {stage: finished.artifacts[stage].settings["loss"]["value_coef"] for stage in ("own", "shared")}
    assert asked == {"own": None, "shared": None}
    heard = []
    monkeypatch.setattr(Ppo, "reinforce", lambda self, work, learning: heard.append(learning.objective.value_coef))
    for value, coef in (("own", None), ("shared", None), ("shared", 0.7)):
        Ppo(prompts="p", reward_model="r", value=value, loss=PPO(value_coef=coef)).run(None)
    assert heard == [None, 0.1, 0.7] and PPO().terms["value"] == 1.0 and PPO(value_coef=0.1).terms["value"] == 0.1
