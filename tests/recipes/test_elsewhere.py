"""A whole pipeline on a device that meets no tensor of the processor (tests/elsewhere.py): the same weights, the same report."""

from pathlib import Path

import pytest
import torch
from torch.utils._pytree import tree_map

from tests.elsewhere import GPU, Elsewhere, There
from tests.recipes.pages import page
from tutelage.engine import checkpoint
from tutelage.models import device
from tutelage.models.kernels import build
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import Outcome, run

PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:         {method: pretrain, data: text, tokens: 6000}
  sft:          {method: sft, init: base, data: demonstrations, epochs: 1, tokens: 2000, adapter: {rank: 2}}
  preferences:  {method: label, policy: sft, prompts: prompts, count: 16, responses: 3, task: ranking, by: synthetic:annotators,
                 sampling: {max_tokens: 6}}
  reward_model: {method: reward, init: sft, preferences: preferences, demonstrations: null}
  dpo:          {method: dpo, init: sft, preferences: preferences}
  ppo:          {method: ppo, init: sft, reward_model: reward_model, prompts: prompts, updates: 1, max_tokens: 6, probe_every: 1,
                 probe_prompts: 4, rollouts: {prompts: 4, samples: 2}, ptx: {data: text, tokens: 64}}
  report:       {method: evaluate, models: [sft, reward_model, ppo], evals: [overall, perplexity, reward_accuracy, diversity], count: 6,
                 pair_prompts: 4, sampling: {max_tokens: 6}}
"""


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's questions about a GPU are answered, and checkpoints are written as torch writes those of a GPU."""
    monkeypatch.setattr(device, "chosen", lambda: "cuda")
    monkeypatch.setattr(device, "multiplies_bf16", lambda: True)
    monkeypatch.setattr(device, "free_bytes", lambda: 1 << 34)
    monkeypatch.setattr(device, "forget_peak", lambda: None)
    monkeypatch.setattr(device, "peak_bytes", lambda: 0)
    monkeypatch.setattr(device, "gpu", lambda: "Pretended")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: GPU.index)
    saved = checkpoint.save

    def save(path: Path, step: int, engine: dict, source: dict) -> None:
        assert any(isinstance(p, There) for p in engine.values())
        saved(path, step, tree_map(lambda x: x.held if isinstance(x, There) else x, engine), source)

    monkeypatch.setattr(checkpoint, "save", save)


def weights(outcome: Outcome) -> dict[str, object]:
    return {stage: made.results.get("weights", made.results) for stage, made in outcome.artifacts.items()}


def test_a_pipeline_leaves_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("TUTELAGE_KERNELS", "off")
    build.library.cache_clear()
    monkeypatch.setattr("tutelage.recipes.decisions.multiplies_bf16", lambda: True)
    recipe = page(tmp_path, PAGE)
    expected = weights(run(load(recipe), tmp_path / "here"))
    request.getfixturevalue("pretended")
    with Elsewhere():
        there = run(load(recipe), tmp_path / "there")
    build.library.cache_clear()
    assert weights(there) == expected and len(set(map(str, expected.values()))) == 7
    noted = (tmp_path / "there" / "manifest.json").read_text()
    assert '"cuda"' in noted and '"Pretended"' in noted and '"bfloat16"' in noted
