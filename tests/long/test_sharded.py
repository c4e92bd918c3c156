"""`tutelage run` by two processes that share weights out: what each stage learns and saves is what one process learns and saves, and a run
begun by two goes on with one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.processes import ROOT, free_port, together
from tests.recipes.pages import page
from tutelage.core.run import Run

pytestmark = pytest.mark.long
SHARDED = "machine: {shard: always, precision: float32, recompute: true, offload: true, checkpoint_every: 2}"
COMMON = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  start:       {method: pretrain, data: text, tokens: 8000}
  preferences: {method: label, policy: start, prompts: prompts, split: label, count: 24, responses: 4, task: ranking,
                by: synthetic:annotators, sampling: {max_tokens: 8}}
"""
PAGE = f"""\
{COMMON}
  base:        {{method: pretrain, data: text, init: start, tokens: 8000, {SHARDED}}}
  tuned:       {{method: sft, init: start, data: demonstrations, tokens: 6000, epochs: 1, adapter: {{rank: 2}}, {SHARDED}}}
  few:         {{method: sft, init: start, data: demonstrations, tokens: 6000, epochs: 1, adapter: {{rank: 2, base: nf4}}, {SHARDED}}}
  judge:       {{method: reward, init: start, preferences: preferences, {SHARDED}}}
  direct:      {{method: dpo, init: tuned, preferences: preferences, adapter: {{rank: 2}}, {SHARDED}}}
  ppo:         {{method: ppo, init: start, reward_model: judge, prompts: prompts, updates: 2, max_tokens: 8, probe_every: 1,
                probe_prompts: 4, rollouts: {{prompts: 8, samples: 2, epochs: 1, minibatches: 2, cut_score: null}}, {SHARDED}}}
  grpo:        {{method: grpo, init: start, reward_model: judge, prompts: prompts, updates: 1, max_tokens: 8, probe_every: 0,
                adapter: {{rank: 2}}, rollouts: {{prompts: 4, samples: 4, epochs: 1, minibatches: 1, cut_score: null}}, {SHARDED}}}
"""
NEAR = 3e-3
"""How near numbers of two processes come in float32: small gradients change sign by rounding, and AdamW steps far by any; Muon rounds."""
TRAINED = ("base", "tuned", "few", "judge", "direct", "ppo", "grpo")


def run(recipe: str, out: Path, size: int) -> None:
    command = [sys.executable, "-m", "tutelage", "run", recipe, "--out", str(out)]
    together(size, lambda rank: command, timeout=280)


def folder(out: Path, stage: str) -> Path:
    view = Run.view(out)
    made = view.find(stage, view.current()[stage])
    assert made is not None and made.path is not None
    return made.path


def metrics(out: Path, stage: str) -> list[dict]:
    return [json.loads(line) for line in (folder(out, stage) / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("sharded")
    run(page(home, COMMON), home / "one", 1)  # what is sampled and judged may differ by a token after any rounding: once for both
    shutil.copytree(home / "one", home / "two")
    recipe = page(home, PAGE)
    run(recipe, home / "one", 1)
    run(recipe, home / "two", 2)
    return home / "one", home / "two"


@pytest.mark.parametrize("stage", TRAINED)
def test_two_learn_and_save_what_one_does(both: tuple[Path, Path], stage: str) -> None:
    one, two = (metrics(out, stage) for out in both)
    assert [row["step"] for row in two] == [row["step"] for row in one] == list(range(1, len(one) + 1))
    for ours, theirs in zip(two, one, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(value == pytest.approx(theirs[key], rel=NEAR, abs=NEAR) for key, value in ours.items()), (ours, theirs)
    saved, expected = (load_file(folder(out, stage) / "model" / "model.safetensors") for out in reversed(both))
    kept = torch.bfloat16 if stage == "few" else torch.float32
    assert saved.keys() == expected.keys() and all(x.dtype == kept for x in saved.values())
    assert all(float((saved[name] - x).norm()) <= NEAR * float(x.norm()) for name, x in expected.items())
    assert not list(folder(both[1], stage).glob("*checkpoint*"))


def test_probes_are_written_once(both: tuple[Path, Path]) -> None:
    one, two = ((folder(out, "ppo") / "probes.jsonl").read_text().splitlines() for out in both)
    assert [json.loads(row)["answers"] for row in two] == [json.loads(row)["answers"] for row in one]


def test_killed_the_others_say_so_and_one_process_goes_on(both: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, out = page(tmp_path, PAGE), tmp_path / "run"
    shutil.copytree(both[0], out)
    for path in out.glob("artifacts/base-*"):
        shutil.rmtree(path)
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tutelage", "run", recipe, "--out", str(out)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    first, second = (subprocess.Popen(command, cwd=ROOT, env={**os.environ, **place, "RANK": str(n)}, **pipes) for n in (0, 1))
    while not list(out.glob("artifacts/.building-base-*/checkpoint-*")):
        assert first.poll() is None
        time.sleep(0.05)
    second.send_signal(signal.SIGKILL)
    said = first.communicate(timeout=200)[1]
    assert first.returncode == 1 and "process 1 of 2 has lost another" in said and "the same command goes on from there" in said
    assert "Traceback" not in said
    second.communicate()
    run(recipe, out, 1)
    for stage in ("base",):
        saved, expected = (load_file(folder(o, stage) / "model" / "model.safetensors") for o in (out, both[0]))
        assert all(float((saved[name] - x).norm()) <= NEAR * float(x.norm()) for name, x in expected.items())
