"""`machine.precision`: what a stage computes in, what it says about it, and what stands in its artifact."""

from pathlib import Path

import pytest
import torch

import tutelage
from tests.cli.batch import command
from tests.recipes.test_reading import asking, metrics, recipe, results
from tests.recipes.test_subjects import Heard
from tutelage.core.errors import UserError
from tutelage.models import weights
from tutelage.recipes.decisions import decide

DECIDED = "bf16" if decide().dtype == "bfloat16" else "float32"
SAMPLED = "prompts: asked, reward_model: 'tests.recipes.test_reading:low', split: all, probe_every: 0, updates: 1, max_tokens: 8"


def ran(page: Path, at: Path) -> list[str]:
    """What its stages say about precision."""
    heard = Heard()
    tutelage.run(str(page), at, progress=heard)
    return [note for note in heard.notes if "networks compute" in note]


def test_each_of_them_trains_a_stage_and_stands_in_its_artifact(tmp_path: Path) -> None:
    learnt: dict[str, torch.Tensor] = {}
    for precision in ("float32", "autocast", "bf16", "auto"):
        at = tmp_path / precision
        at.mkdir()
        said = ran(recipe(at, "llama", "sft", f"machine: {{precision: {precision}}}"), at / "run")
        assert said == ([] if precision == "auto" else [f"sft: networks compute in {precision}, as machine.precision says"])
        assert results(at / "run", "sft")["precision"] == (DECIDED if precision == "auto" else precision)
        (made,) = (at / "run" / "artifacts").glob("sft-*")
        model = weights.load(made / "model")[0]
        assert all(p.dtype == torch.float32 for p in model.parameters())
        learnt[precision] = torch.cat([p.detach().flatten() for p in model.parameters()])
    begun = torch.cat([p.detach().flatten() for p in weights.load(tmp_path / "auto" / "model")[0].parameters()])
    assert torch.equal(learnt["auto"], learnt[DECIDED])
    for precision in ("autocast", "bf16"):
        off = float((learnt[precision] - learnt["float32"]).norm() / (learnt["float32"] - begun).norm())
        assert 0 < off < 0.2, precision
    assert not torch.equal(learnt["autocast"], learnt["bf16"])


@pytest.mark.parametrize("asked", ["bf16", "autocast"])
@pytest.mark.parametrize(
    ("more", "attention", "why"),
    [
        ("adapter: {dora: true}, machine: {precision: PRECISION}", "packed", "DoRA's lengths"),
        ("machine: {precision: PRECISION, attention: separate}", "separate", "attention is separate"),
    ],
)
def test_what_must_be_exact_stays_so_and_says_why(more: str, attention: str, why: str, asked: str, tmp_path: Path) -> None:
    (said,) = ran(recipe(tmp_path, "llama", "sft", more.replace("PRECISION", asked)), tmp_path / "run")
    assert f"sft: networks compute in float32, not in {asked} ({why}" in said
    assert results(tmp_path / "run", "sft").items() >= {"precision": "float32", "attention": attention}.items()


def test_a_stage_that_samples_does_so_in_its_precision(tmp_path: Path) -> None:
    """Sampler and trainer differ by rounding: of float32, or of bfloat16 products."""
    each = "".join(
        f"  {name}: {{method: ppo, {SAMPLED}, rollouts: {{prompts: 8, samples: 4}}, machine: {{precision: {name}}}}}\n"
        for name in ("float32", "autocast", "bf16")
    )
    tutelage.run(str(asking(tmp_path, each)), tmp_path / "run")
    gaps = {name: metrics(tmp_path / "run", name)[0]["gap"] for name in ("float32", "autocast", "bf16")}
    assert gaps["float32"] < 2e-6 and gaps["float32"] < gaps["autocast"] < 0.02 and gaps["bf16"] < 0.02
    assert all(metrics(tmp_path / "run", name)[0]["kl"] == 0.0 for name in gaps)


def test_others_are_refused_in_one_sentence(tmp_path: Path) -> None:
    page = recipe(tmp_path, "llama", "sft", "machine: {precision: bfloat16}")
    with pytest.raises(UserError) as refused:
        tutelage.run(str(page), tmp_path / "run")
    assert str(refused.value).count("\n") == 0
    told = command("run", page, "--out", tmp_path / "run", folder=tmp_path)
    assert told.code == 2 and "machine.precision" in told.err and "'bfloat16' is not one of auto, bf16, autocast, float32" in told.err
    assert not (tmp_path / "run" / "artifacts").exists()
