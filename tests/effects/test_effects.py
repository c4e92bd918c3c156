"""The published effects, measured: the demo's own recipe at the demo's own size, on the seeds given by TUTELAGE_SEEDS (default: 0).

Run by `make effects`, about as long as the demo per seed. What is asserted is what the recipe claims, and what it should: a claim
that fails is a test that fails (docs/results.md says which do). Intervals are 95 %, clustered by prompt, differences paired.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import tutelage
from tutelage.core.run import Run
from tutelage.data.render import Renderer
from tutelage.models import weights
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.recipes import material
from tutelage.recipes.sources import Input
from tutelage.rollouts.reading import read_responses

SEEDS = [int(seed) for seed in os.environ.get("TUTELAGE_SEEDS", "0").split(",")]
pytestmark = pytest.mark.effects


@pytest.fixture(scope="module", params=SEEDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("effects") / f"seed-{request.param}"
    tutelage.run("instructgpt", out, [f"seed={request.param}"])
    return out


@pytest.fixture(scope="module")
def report(run: Path) -> dict:
    (path,) = run.glob("artifacts/evaluate-*/report.json")
    return json.loads(path.read_text())


def difference(report: dict, a: str, b: str, name: str = "overall") -> dict:
    return next(c for c in report["comparisons"] if (c["a"], c["b"], c["eval"]) == (a, b, name))


def test_sft_is_better_than_base(report: dict) -> None:
    assert difference(report, "sft", "base")["low"] > 0


def test_ppo_is_better_than_sft_by_six_points_at_little_kl(report: dict) -> None:
    found = difference(report, "ppo", "sft")
    assert found["difference"] >= 0.06 and found["low"] > 0 and found["n"] >= 900, found
    assert report["evals"]["kl"]["ppo"]["mean"] < 15


def test_ppo_is_not_below_best_of_four(report: dict) -> None:
    assert difference(report, "ppo", "sft best of 4")["difference"] >= 0


def test_dpo_is_better_than_sft(report: dict) -> None:
    assert difference(report, "dpo", "sft")["low"] > 0


def test_the_reward_model_beats_every_single_feature(report: dict) -> None:
    accuracy = report["evals"]["reward_accuracy"]
    own = accuracy["reward_model"]["mean"]
    feature = max(figures["mean"] for stage, figures in accuracy.items() if stage != "reward_model")
    assert own >= 0.68 and own >= feature + 0.05, accuracy


def test_text_keeps_what_was_known(report: dict) -> None:
    """Perplexity on held-out text against SFT's: without pre-training text it rises at least 5 %, with it at most half of that."""
    without, with_text = (difference(report, stage, "sft", "forgetting") for stage in ("ppo_no_ptx", "ppo"))
    assert without["difference"] >= 0.05 and with_text["difference"] <= without["difference"] / 2, (without, with_text)


def test_held_out_demonstrations_score_zero(run: Path, report: dict) -> None:
    view = Run.view(run)
    artifact = view.find("reward_model", view.current()["reward_model"])
    model, tokenizer = weights.load(artifact.path / "model", torch.float32)
    policy, render = Policy({"policy": Role(model, None, weights.load_head(artifact.path / "model"))}, tokenizer), Renderer(tokenizer)
    rows = material.held_out_demonstrations(Input("demonstrations", "synthetic:demonstrations", artifact.settings["seed"]))
    trees = [tree for row in rows for tree in render.demonstration(row)]
    scores = np.concatenate(read_responses(policy, trees, ("score",))["score"])
    noise = scores.std(ddof=1) * (1 / len(scores) + 1 / artifact.results["zero_n"]) ** 0.5
    assert abs(scores.mean()) < 2 * noise, (scores.mean(), noise)
