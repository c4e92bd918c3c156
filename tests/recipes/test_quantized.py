"""`adapter: {base: nf4}` through recipes: every stage that takes an adapter, what it leaves and notes, one base in all roles, resuming."""

import json
from pathlib import Path

import pytest
import torch

import tutelage
from tests.cli.batch import command
from tests.models.test_adapters import noise
from tests.models.test_sampler import ADDRESSES, PROMPTS, full_logp, model_of
from tests.recipes.test_reading import SAMPLED, asking, metrics, recipe, results
from tests.recipes.test_subjects import Heard
from tutelage.core.errors import UserError
from tutelage.models import adapters, weights
from tutelage.models.adapters import Lora
from tutelage.models.quantized import quantize
from tutelage.models.roles import causal
from tutelage.models.sampler import Sampler, Sampling
from tutelage.recipes.forecast.network import Network, memory_of
from tutelage.recipes.forecast.smaller import fitting
from tutelage.recipes.recipe import load

pytest.importorskip("bitsandbytes")
FOUR = "adapter: {rank: 4, base: nf4}"


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_stages_that_read_learn_over_it_and_note_it(kind: str, tmp_path: Path) -> None:
    page, heard = recipe(tmp_path, "llama", "sft reward dpo", f"adapter: {{rank: 4, base: {kind}}}"), Heard()
    tutelage.run(str(page), tmp_path / "run", progress=heard)
    said = [note for note in heard.notes if "below the adapter" in note]
    assert [note.partition(":")[0] for note in said] == ["sft", "reward", "dpo"]
    for stage in ("sft", "reward", "dpo"):
        noted = results(tmp_path / "run", stage)
        assert noted["base"] == kind and str(noted["base_bits"]) in said[0]
        assert {"nf4": 4, "int8": 8}[kind] < noted["base_bits"] < {"nf4": 5, "int8": 9.1}[kind]
        assert noted["base_bytes"] < noted["base_bytes_bf16"] * 2
        (made,) = (tmp_path / "run" / "artifacts").glob(f"{stage}-*")
        model = weights.load(made / "model")[0]
        assert all(p.dtype == torch.bfloat16 for p in model.parameters())
        again = adapters.load(quantize(weights.load(tmp_path / "model")[0], kind), made / "adapter", "policy")  # pyright: ignore[reportArgumentType]
        ids = torch.tensor([[4, 9, 12, 7, 5]])
        with torch.no_grad():
            hidden = [causal(network).base_model(ids).last_hidden_state.float() for network in (model, again)]
        assert (hidden[0] - hidden[1]).norm() < 0.01 * hidden[1].norm(), "the merged weights are those of the base and adapter that learnt"
    first = metrics(tmp_path / "run", "dpo")[0]
    assert first["preference"] == pytest.approx(0.6931471805599453, abs=1e-6), "the log-ratio to the reference begins as 0"


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_stages_that_sample_begin_as_their_reference(precision: str, tmp_path: Path) -> None:
    more = f"rollouts: {{prompts: 1, samples: 16, minibatches: 1}}, {FOUR}, machine: {{precision: {precision}}}"
    page = asking(tmp_path, "".join(f"  {name}: {{method: {name}, {SAMPLED}, {more}}}\n" for name in ("ppo", "grpo")))
    tutelage.run(str(page), tmp_path / "run")
    for stage in ("ppo", "grpo"):
        first = metrics(tmp_path / "run", stage)[0]
        assert first["kl"] == 0.0 and first["ratio"] == 1.0 and first["gap"] < (2e-6 if precision == "float32" else 0.1)
        assert results(tmp_path / "run", stage)["networks"] == 1 and results(tmp_path / "run", stage)["base"] == "nf4"


VILLAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:        {method: pretrain, data: text, tokens: 8000}
  preferences: {method: label, policy: base, prompts: prompts, split: label, count: 24, responses: 4, task: ranking,
                by: synthetic:annotators, sampling: {max_tokens: 8}}
  judge:       {method: reward, init: base, preferences: preferences, adapter: {rank: 2, base: nf4}}
  one_base:    {method: ppo, init: base, reward_model: judge, prompts: prompts, updates: 1, max_tokens: 8, probe_every: 0,
                rollouts: {prompts: 8, samples: 2, minibatches: 2, cut_score: null}, adapter: {rank: 2, base: nf4}}
  other_base:  {like: one_base, adapter: {rank: 2}}
"""


def test_roles_share_one_quantized_base_where_the_reward_model_was_learnt_on_it(tmp_path: Path) -> None:
    """The reward model's adapter belongs on the base that it was learnt on: beside another, it is a network of its own."""
    (tmp_path / "page.yaml").write_text(VILLAGE)
    made = tutelage.run(str(tmp_path / "page.yaml"), tmp_path / "run").artifacts
    assert made["one_base"].results["networks"] == 1 and made["other_base"].results["networks"] == 2
    first = metrics(tmp_path / "run", "one_base")[0]
    assert first["kl"] == 0.0 and first["ratio"] == pytest.approx(1, abs=0.01) and first["gap"] < 0.1


def test_killed_and_resumed_the_same_weights_come_out(tmp_path: Path) -> None:
    more = f"step_tokens: 64, machine: {{checkpoint_every: 2}}, {FOUR}"
    hashes: list[str] = []
    for name, stopped in (("whole", False), ("killed", True)):
        at = tmp_path / name
        at.mkdir()
        page = recipe(at, "llama", "sft", more)
        if stopped:
            with pytest.raises(KeyboardInterrupt):
                tutelage.run(str(page), at / "run", progress=Stops(5))
        tutelage.run(str(page), at / "run")
        assert [row["step"] for row in metrics(at / "run", "sft")] == list(range(1, results(at / "run", "sft")["steps"] + 1))
        hashes.append(results(at / "run", "sft")["weights"])
    assert hashes[0] == hashes[1] and results(tmp_path / "whole" / "run", "sft")["steps"] > 5


class Stops(Heard):
    """Interrupts after some steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        if step == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_is_sampled_has_the_log_probabilities_that_training_reads(dtype: torch.dtype) -> None:
    adapted = adapters.wrap(quantize(model_of("llama", dtype), "nf4"), Lora(base="nf4"), "policy", seed=0).to(dtype)
    noise(adapted, "policy")
    sampled = Sampler(adapted, end=99).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=12))
    for prompt, response in zip(PROMPTS, sampled, strict=True):
        expected = full_logp(adapted, prompt, response)
        assert (torch.tensor(response.logp, dtype=dtype) - expected).abs().max() < {torch.float64: 1e-10, torch.float32: 1e-5}[dtype]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("adapter: {base: nf3}", "adapter.base: the text 'nf3' is not one of as_is, nf4, int8; did you mean 'nf4'?"),
        ("adapter: {kind: prefix, base: nf4}", "adapter.base: unknown setting; known are kind, tokens"),
    ],
)
def test_wrong_bases_are_refused_by_their_place(more: str, said: str, tmp_path: Path) -> None:
    told = command("run", recipe(tmp_path, "llama", "sft", more), "--out", tmp_path / "run", folder=tmp_path)
    assert told.code == 2 and said in " ".join(told.err.split())
    assert not (tmp_path / "run" / "artifacts").exists()


def test_a_missing_bitsandbytes_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutelage.models.quantized.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs bitsandbytes; pip install 'tutelage\[quant\]'"):
        tutelage.run(str(recipe(tmp_path, "llama", "sft", FOUR)), tmp_path / "run")


def test_a_plan_knows_what_a_base_in_few_bits_weighs(tmp_path: Path) -> None:
    big = Network(4096, 32, 14336, 128256)
    steps = {base: load(recipe_with(tmp_path, base)).steps["sft"] for base in ("as_is", "int8", "nf4")}
    needs = {base: memory_of(step, big) for base, step in steps.items()}
    linear = big.parameters - big.vocabulary * big.width
    assert needs["as_is"] > needs["int8"] > needs["nf4"]
    assert needs["int8"] - needs["nf4"] == pytest.approx(linear * (8 - 4.127) / 8, rel=0.01)


def test_a_plan_offers_it_where_an_adapter_alone_would_not_fit(tmp_path: Path) -> None:
    step = load(recipe_with(tmp_path, "as_is")).steps["sft"]
    page = str(tmp_path / "as_is" / "page.yaml")
    big = {"hidden_size": 2048, "num_hidden_layers": 24, "intermediate_size": 5632, "vocab_size": 32000}
    config = tmp_path / "as_is" / "model" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **big}))
    shape = Network(2048, 24, 5632, 32000)
    need, limit = memory_of(step, shape), memory_of(step, shape, bits=4.127) * 1.01
    (offered,) = [way for way in fitting(load(page), step, need, limit) if "adapter" in way]
    assert offered == "stages.sft.adapter.base=nf4", "its other settings stay"
    assert load(page, [offered]).steps["sft"].settings["adapter"]["base"] == "nf4"  # pyright: ignore


def recipe_with(at: Path, base: str) -> str:
    folder = at / base
    folder.mkdir()
    return str(recipe(folder, "llama", "sft", f"adapter: {{base: {base}}}"))
