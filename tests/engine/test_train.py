"""Killed anywhere, a run ends with the weights of an undisturbed one, and each step is written down once."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from tutelage.core.progress import Silent
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.train import Fixed, Probe, train
from tutelage.objectives.dpo import DPO


def run(folder: Path, pause: float = 0.0, steps: int = 12) -> str:
    """Train a little in `folder`; the SHA-256 of the final weights."""
    objective = DPO()
    engine = Engine(policy(Bench(dtype=torch.float32), objective.needs), objective)

    def trees(step: int):
        time.sleep(pause)
        specimens = objective.specimens()
        return specimens[step % 2 :]

    probe = Probe(5, lambda step: {"weight": float(engine.parameters["policy"][0].detach().sum())})
    train(engine, Fixed(trees), steps, folder, Silent(), "dpo", every=4, probe=probe)
    weights = b"".join(p.detach().numpy().tobytes() for p in engine.parameters["policy"])
    return hashlib.sha256(weights).hexdigest()


def test_killed_at_random_moments_the_weights_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = run(tmp_path / "whole")
    command = [sys.executable, __file__, str(tmp_path / "killed")]
    killed = 0
    for kill in range(12):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ)
        deadline = 1.0 + 0.13 * kill
        watched = tmp_path / "killed" / "metrics.jsonl"
        size = watched.stat().st_size if watched.exists() else 0
        while process.poll() is None and not (watched.exists() and watched.stat().st_size > size):
            time.sleep(0.01)
        time.sleep(deadline * 0.2)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
    assert killed >= 2
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.strip() == whole
    rows = [json.loads(line) for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))
    for name in ("metrics.jsonl", "probes.jsonl"):
        assert (tmp_path / "killed" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_probes_come_before_their_step_and_after_the_last(tmp_path: Path) -> None:
    run(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "probes.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 5, 10, 12]
    assert len({row["weight"] for row in rows}) == 4
    run(tmp_path)
    assert rows == [json.loads(line) for line in (tmp_path / "probes.jsonl").read_text().splitlines()]


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    first = run(tmp_path)
    before = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    assert run(tmp_path) == first
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == before


def test_a_torn_metrics_row_is_dropped(tmp_path: Path) -> None:
    whole = run(tmp_path, steps=12)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 13, "tok')
    assert run(tmp_path, steps=12) == whole


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(run(Path(sys.argv[1]), pause=0.15))
