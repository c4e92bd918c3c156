"""The published effects, measured: the demo's own recipe at the demo's own size, on the seeds given by TUTELAGE_SEEDS (default: 0,1,2).

Part of `make prove`, about as long as the demo per seed; a seed's tests stay in one process, so that its run is made once. What is asserted
stands in benchmarks/effects.py, which also writes the published table; runs that stand whole in TUTELAGE_RUNS are not made again. Intervals
are 95 %, clustered by prompt, differences paired.
"""

import os
from pathlib import Path

import pytest

import tutelage
from benchmarks import publish
from benchmarks.effects import EFFECTS, Effect
from benchmarks.judge import scored
from tutelage.cli.screen import stage_of
from tutelage.recipes import material
from tutelage.recipes.sources import Input

SEEDS = [int(seed) for seed in os.environ.get("TUTELAGE_SEEDS", "0,1,2").split(",")]
pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=[pytest.param(seed, marks=pytest.mark.xdist_group(f"seed {seed}")) for seed in SEEDS])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("TUTELAGE_RUNS")
    out = (Path(kept) if kept else tmp_path_factory.mktemp("effects")) / f"seed-{request.param}"
    tutelage.run("instructgpt", out, [f"seed={request.param}"])
    return out


@pytest.fixture(scope="module")
def report(run: Path) -> dict:
    return publish.report(run)


@pytest.mark.parametrize("effect", [effect for effect in EFFECTS if effect.held], ids=lambda effect: effect.title)
def test_effect(effect: Effect, report: dict) -> None:
    assert effect.held and effect.held(report), effect.told(report)


def test_held_out_demonstrations_score_zero(run: Path, report: dict) -> None:
    artifact = stage_of(run, "reward_model")
    scores = scored(run, material.held_out_demonstrations(Input("demonstrations", "synthetic:demonstrations", artifact.settings["seed"])))
    noise = scores.std(ddof=1) * (1 / len(scores) + 1 / artifact.results["zero_n"]) ** 0.5
    assert abs(scores.mean()) < 2 * noise, (scores.mean(), noise)
