"""The published effects, measured: the demo's own recipe at the demo's own size, on the seeds given by TUTELAGE_SEEDS (default: 0,1,2).

Part of `make prove`, about as long as the demo per seed. What is asserted stands in benchmarks/effects.py, which also writes the published
table; runs that stand whole in TUTELAGE_RUNS are not made again. Intervals are 95 %, clustered by prompt, differences paired.
"""

import os
from pathlib import Path

import pytest
from scipy import stats

import tutelage
from benchmarks import publish
from benchmarks.effects import EFFECTS
from benchmarks.judge import scored
from tutelage.cli.screen import stage_of
from tutelage.recipes import material
from tutelage.recipes.sources import Input

SEEDS = [int(seed) for seed in os.environ.get("TUTELAGE_SEEDS", "0,1,2").split(",")]
SPREAD = float(stats.norm.ppf(1 - 0.01 / 2 / len(SEEDS)))
"""Standard errors that a sound run may be away by chance: all seeds together exceed it once in a hundred times."""


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_published_effects(seed: int, tmp_path: Path) -> None:
    """One test a seed: its run is made once, in one process."""
    out = Path(os.environ.get("TUTELAGE_RUNS") or tmp_path) / f"seed-{seed}"
    tutelage.run("instructgpt", out, [f"seed={seed}"])
    report = publish.report(out)
    missed = {effect.title: effect.told(report) for effect in EFFECTS if effect.held and not effect.held(report)}
    away = distance_of_demonstrations(out)
    assert not missed and away < SPREAD, (missed, away)


def distance_of_demonstrations(run: Path) -> float:
    """Standard errors between 0 and the mean score of demonstrations that nothing was learnt from."""
    artifact = stage_of(run, "reward_model")
    scores = scored(run, material.held_out_demonstrations(Input("demonstrations", "synthetic:demonstrations", artifact.settings["seed"])))
    noise = scores.std(ddof=1) * (1 / len(scores) + 1 / artifact.results["zero_n"]) ** 0.5
    return float(abs(scores.mean()) / noise)
