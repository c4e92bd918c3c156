"""`tutelage run` killed with SIGKILL at seeded random moments of the whole nano pipeline ends with the bits of an undisturbed run.

Moments are spread over everything that runs: training, checkpoint writing, labelling, rollouts, evals. Each restart is the same
command.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tutelage.core.randomness import uniforms
from tutelage.core.run import Run

COMMAND = [sys.executable, "-m", "tutelage", "run", "instructgpt", "model.new=nano"]
SMALLER = [
    "stages.base.tokens=40000",
    "stages.sft.tokens=20000",
    "stages.preferences.count=40",
    "stages.preferences.chunk=8",
    "stages.ppo.updates=4",
    "stages.ppo.machine.checkpoint_every=1",
    "stages.grpo={method: grpo, init: sft, reward_model: reward_model, prompts: prompts, updates: 2, machine: {checkpoint_every: 1}}",
    "stages.base.machine.checkpoint_every=2",
    "stages.evaluate.count=24",
    "stages.evaluate.pair_prompts=8",
]
LINE = {**os.environ, "OMP_NUM_THREADS": "1"}


def weights(run: Path) -> dict[str, str]:
    """The hash of every stage's weights or annotations."""
    found = {}
    view = Run.view(run)
    for stage, hash_ in view.current().items():
        results = view.find(stage, hash_).results
        found[stage] = results.get("weights") or results.get("store") or results.get("sentence")
    return found


def steps_once(run: Path) -> None:
    for path in run.glob("artifacts/*/metrics.jsonl"):
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
        assert steps == list(range(1, len(steps) + 1)), path


def figures(run: Path) -> dict[str, object]:
    """The report without what depends on the clock."""
    (path,) = run.glob("artifacts/evaluate-*/report.json")
    plain = json.loads(path.read_text())
    return {name: plain[name] for name in ("evals", "comparisons", "curves", "sentence")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, float]:
    """An undisturbed run, its seconds, and the seconds of the same command with nothing to do (imports)."""
    out = tmp_path_factory.mktemp("whole") / "run"
    times = [time.monotonic()]
    for _ in range(2):
        subprocess.run([*COMMAND, *SMALLER, "--out", str(out)], check=True, capture_output=True, env=LINE)
        times.append(time.monotonic())
    return out, times[1] - times[0], times[2] - times[1]


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_moments(whole: tuple[Path, float, float], seed: int, tmp_path: Path) -> None:
    expected, seconds, idle = whole
    out, kills = tmp_path / "run", 0
    for n, share in enumerate(uniforms(40, "kills", seed)):
        process = subprocess.Popen(
            [*COMMAND, *SMALLER, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=LINE, start_new_session=True
        )
        try:
            # Some attempts get as far as a third of the work, others hardly begin.
            process.wait(timeout=0.9 * idle + share * (seconds - idle) / (3 if n % 2 else 9))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    subprocess.run([*COMMAND, *SMALLER, "--out", str(out)], check=True, capture_output=True, env=LINE)
    assert kills >= 3
    assert weights(out) == weights(expected)
    assert figures(out) == figures(expected)
    steps_once(out)
