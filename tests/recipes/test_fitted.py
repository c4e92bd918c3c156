"""Whether a stage's weights are shared out, what it is estimated to take, and the settings that make it fit, in a stage that runs."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.recipes.pages import page
from tutelage.engine.invariants.bench import Bench, network
from tutelage.engine.ranks import Ranks
from tutelage.models.roles import Role
from tutelage.recipes import fitted
from tutelage.recipes.decisions import decide
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.recipes.training import Machine

GIB = 2**30


def asked_of(machine: Machine, size: int, free: float, monkeypatch: pytest.MonkeyPatch, device: str = "cuda") -> tuple[bool, list[str]]:
    """The decision of one of `size` processes with so many bytes free on the fullest GPU, and what was said."""
    said: list[str] = []

    class Some(Ranks):
        def gather(self, own):
            return [*own, free]

    monkeypatch.setattr(fitted, "ranks", lambda: Some(0, size))
    monkeypatch.setattr(fitted, "free_bytes", lambda: 2 * free)
    monkeypatch.setattr(fitted, "here", lambda device: torch.device(device))
    work = SimpleNamespace(name="sft", decisions=replace(decide(), device=device), progress=SimpleNamespace(note=said.append))
    made = fitted.fitted(work, machine, {"policy": Role(network(Bench(), 0), trains=True)})  # type: ignore[arg-type]
    assert (made.recompute, made.offload) == (machine.recompute, machine.offload)
    return made.shard, said


def test_auto_shares_out_what_the_fullest_gpu_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = fitted.estimate(Machine(), {"policy": Role(network(Bench(), 0), trains=True)})
    assert asked_of(Machine(), 2, needs / 0.85, monkeypatch) == (False, [])
    shard, (said,) = asked_of(Machine(), 2, needs / 0.95, monkeypatch)
    assert shard and said.startswith("sft: weights are shared out among 2 processes (whole they would take about")


@pytest.mark.parametrize(
    "shard, size, device, expected",
    [("never", 4, "cuda", False), ("always", 4, "cpu", True), ("auto", 4, "cpu", False), ("always", 1, "cuda", False)],
)
def test_what_is_said_is_done(shard: str, size: int, device: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found, said = asked_of(Machine(shard=shard), size, 1.0, monkeypatch, device)  # type: ignore[arg-type]
    assert found == expected and len(said) == (shard == "always")
    assert not said or ("among 4 processes" in said[0]) == expected


def test_each_setting_takes_less() -> None:
    roles = {"policy": Role(network(Bench(), 0), trains=True)}
    whole = fitted.estimate(Machine(), roles)
    weights = sum(p.numel() for p in roles["policy"].network.parameters())
    assert whole - fitted.estimate(Machine(offload=True), roles) == 8 * weights
    assert fitted.estimate(Machine(recompute=True), roles) < whole > fitted.estimate(Machine(micro_tokens=64), roles)
    frozen = fitted.estimate(Machine(), {"policy": Role(roles["policy"].network)})
    assert whole - frozen == 12 * weights


PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations}
stages:
  base:  {method: pretrain, data: text, tokens: 4000}
  plain: {method: sft, init: base, data: demonstrations, tokens: 3000, epochs: 1}
  tight: {like: plain, machine: {recompute: true, offload: true, shard: always}}
  light: {like: plain, adapter: {rank: 4}}
  small: {like: light, machine: {recompute: true}}
"""


def test_a_stage_that_is_made_to_fit_learns_the_same_bits(tmp_path) -> None:
    made = run(load(page(tmp_path, PAGE)), tmp_path / "run").artifacts
    learnt = {name: artifact.results["weights"] for name, artifact in made.items()}
    assert learnt["tight"] == learnt["plain"] and learnt["small"] == learnt["light"] and len(set(learnt.values())) == 3
