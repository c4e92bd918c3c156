"""Memory that runs out in the middle of a stage. The processor's is asked for more than any machine has, so that torch's own allocator
refuses; a GPU's error is raised by hand here, and by a GPU in tests/cuda."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.batch import command
from tests.recipes.pages import HERE, folder_model, page
from tests.recipes.small_run import model
from tests.recipes.tiny_stages import Chain
from tutelage.core.errors import Interrupted
from tutelage.engine.engine import Engine
from tutelage.models.weights import load as load_weights
from tutelage.recipes.exhausted import MARK, ran_out, said
from tutelage.recipes.forecast.network import Network, memory_of
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.recipes.training import Machine
from tutelage.recipes.work import Work

PAGE = """\
schema: 1
model: {model}
inputs: {{demonstrations: {folder}/shown.jsonl}}
stages:
  sft: {{method: sft, data: demonstrations, steps: 6, step_tokens: 512, machine: {{checkpoint_every: 1, {machine}}}}}
"""


@dataclass(frozen=True)
class Hungry(Chain):
    """Wants 140 TB after its third step."""

    machine: Machine = Machine()  # noqa: RUF009  (frozen)

    def run(self, work: Work) -> dict[str, Any]:
        done = super().run(work)
        torch.empty(1 << 45)
        return done


@pytest.fixture
def path(tmp_path: Path) -> str:
    folder = model(tmp_path / "model")
    rows = [{"prompt": f"say {n}", "completion": f"a fox didn't like the rain {n} " * 3} for n in range(40)]
    (tmp_path / "shown.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return page(tmp_path, PAGE.format(model=folder, folder=tmp_path, machine="micro_tokens: 512, precision: float32"))


def refused_at(monkeypatch: pytest.MonkeyPatch, number: int, error: Exception) -> None:
    """The engine's step of that number finds no memory."""
    step = Engine.step

    def short(engine: Engine, trees: Any, at: int, steps: int) -> dict[str, float]:
        if at == number:
            raise error
        return step(engine, trees, at, steps)

    monkeypatch.setattr(Engine, "step", short)


def weights(out: Path) -> Mapping[str, torch.Tensor]:
    (folder,) = out.glob("artifacts/sft-*/model")
    return load_weights(folder)[0].state_dict()


def test_the_processors_memory_by_torchs_own_allocator(tmp_path: Path) -> None:
    path = page(tmp_path, folder_model(tmp_path).replace(f'base:  {{method: "{HERE}:Chain"', f'base:  {{method: "{__name__}:Hungry"'))
    answer = command("run", path, "--out", "run", folder=tmp_path)
    lines = answer.err.strip().splitlines()
    assert answer.code == 1 and "Traceback" not in answer.err, answer
    assert re.match(
        r"stage base ran out of memory: about 0\.65 GiB were foreseen, 0\.\d\d GiB of \d+\.\d\d GiB were held at the peak; ", lines[-2]
    )
    assert lines[-1] == "Nothing that was finished is lost: the same command goes on from there."


EIGHT = {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336, "vocab_size": 128256}
GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


@pytest.mark.parametrize("error", [GPU, MemoryError()], ids=["gpu", "python"])
def test_the_same_command_goes_on_to_the_same_bits(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    run(load(path), tmp_path / "whole")
    with monkeypatch.context() as short:
        refused_at(short, 3, error)
        with pytest.raises(Interrupted, match="stage sft ran out of memory"):
            run(load(path), tmp_path / "run")
    run(load(path), tmp_path / "run")
    whole = weights(tmp_path / "whole")
    assert all(torch.equal(x, whole[name]) for name, x in weights(tmp_path / "run").items())
    assert not list((tmp_path / "run").rglob(MARK))


@pytest.mark.parametrize("changed", ["micro_tokens=256", "recompute=true"])
def test_with_its_work_cut_otherwise_it_goes_on_too(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    run(load(path), tmp_path / "whole")
    with monkeypatch.context() as short:
        refused_at(short, 3, GPU)
        with pytest.raises(Interrupted):
            run(load(path), tmp_path / "run")
    steps: list[int] = []
    step = Engine.step
    monkeypatch.setattr(Engine, "step", lambda engine, trees, at, of: (steps.append(at), step(engine, trees, at, of))[1])
    run(load(path, [f"stages.sft.machine.{changed}"]), tmp_path / "run")
    assert steps == [3, 4, 5]
    whole = weights(tmp_path / "whole")
    for name, x in weights(tmp_path / "run").items():
        torch.testing.assert_close(x, whole[name], rtol=1e-5, atol=1e-6)
    journal = (tmp_path / "run" / "journal.jsonl").read_text()
    assert '"goes on with its work cut otherwise"' in journal and not list((tmp_path / "run").rglob(MARK))


@pytest.mark.parametrize("changed", ["rates.learning_rate=0.0001", "machine.precision=bf16"])
def test_with_anything_else_changed_it_begins_anew(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    with monkeypatch.context() as short:
        refused_at(short, 3, GPU)
        with pytest.raises(Interrupted):
            run(load(path), tmp_path / "run")
    steps: list[int] = []
    step = Engine.step
    monkeypatch.setattr(Engine, "step", lambda engine, trees, at, of: (steps.append(at), step(engine, trees, at, of))[1])
    run(load(path, [f"stages.sft.{changed}"]), tmp_path / "run")
    assert steps == list(range(6))


def test_what_is_said_of_eight_billion_weights_and_one_gpu(path: str, tmp_path: Path) -> None:
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "llama", **EIGHT}))
    (tmp_path / "model" / "model.safetensors").unlink()
    wide = load(path, ["stages.sft.adapter={}", "stages.sft.machine.micro_tokens=32768"])
    sentence = said(wide, wide.steps["sft"], 70 * 2**30, 79 * 2**30)
    foreseen = memory_of(wide.steps["sft"], Network(4096, 32, 14336, 128256)) / 2**30
    assert sentence == (
        f"stage sft ran out of memory: about {foreseen:.2f} GiB were foreseen, 70.00 GiB of 79.00 GiB were held at the peak; any of these "
        "would fit: stages.sft.machine.micro_tokens=2048, stages.sft.machine.recompute=true; "
        "with its work cut otherwise (machine) the stage goes on from its last checkpoint"
    )
    for way in re.findall(r"stages\.\S+?=\w+", sentence):
        changed = load(path, ["stages.sft.adapter={}", "stages.sft.machine.micro_tokens=32768", way])
        assert memory_of(changed.steps["sft"], Network(4096, 32, 14336, 128256)) < 79 * 2**30


def test_another_fault_stays_one(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ran_out(GPU) and not ran_out(RuntimeError("shapes differ"))
    refused_at(monkeypatch, 3, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(load(path), tmp_path / "run")
