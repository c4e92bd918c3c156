"""Frozen weights in few bits: the codes' values, the product and its gradient, what is held, merging, and plain transformers and peft."""

import copy
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.models.test_adapters import TOKENIZER, base, logp, noise
from tutelage.core.errors import UserError
from tutelage.models import adapters, create, quantized, weights
from tutelage.models.adapters import Lora, merged, wrap
from tutelage.models.create import Dimensions
from tutelage.models.policy import Policy
from tutelage.models.quantized import Int8, Nf4, Quantized, as_it_stood, noted, quantize, weight_of, whole
from tutelage.models.roles import Role
from tutelage.models.tokenizer import words

bitsandbytes = pytest.importorskip("bitsandbytes")
IDS = torch.tensor([[3, 6, 7, 4, 8, 0]])
BENCH = ("nf4", "int8")
# The quantiles that the paper's appendix E gives.
NF4 = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
]
NF4 += [0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941]
NF4 += [0.7229568362236023, 1.0]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return 0.05 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def vectors(model: Any) -> Tensor:
    return model.get_input_embeddings().weight


def by_the_paper(weight: Tensor, scales: Tensor) -> Tensor:
    """NF4 without double quantization: the nearest of the 16 values, times the block's scale as it was kept."""
    flat = weight.flatten()
    largest = torch.stack([block.abs().max() for block in flat.split(64)]).repeat_interleave(64)[: len(flat)]
    nearest = (flat / largest)[:, None].sub(torch.tensor(NF4)).abs().argmin(1)
    return (torch.tensor(NF4)[nearest] * scales.repeat_interleave(64)[: len(flat)]).view(weight.shape)


SIZES = [(96, 64), (40, 48), (33, 50), (7, 5), (64, 192), (24, 172), (5, 688)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nf4_is_the_papers_whatever_the_rows_are(shape: tuple[int, int], dtype: torch.dtype) -> None:
    weight = drawn(*shape).to(dtype)
    codes, key = Nf4.of(weight)
    scales = bitsandbytes.functional.dequantize_blockwise(key.scales.absmax, key.scales.state2) + key.scales.offset
    expected = by_the_paper(weight.float(), scales)
    assert torch.equal(key.weight(codes, torch.float32), expected)
    assert torch.equal(key.weight(codes, torch.bfloat16), expected.bfloat16())
    assert torch.equal(key.weight(codes, torch.float64), expected.double())
    largest = torch.stack([block.abs().max() for block in weight.float().flatten().split(64)])
    assert (scales - largest).abs().max() <= 0.02 * largest.max(), "scales of 8 bits are near the blocks' largest weights"
    assert float((expected - weight.float()).norm() / weight.float().norm()) < 0.11


def test_double_quantization_costs_four_and_an_eighth_bits() -> None:
    codes, key = Nf4.of(drawn(768, 768))
    assert 8 * (codes.nbytes + key.bytes) / 768**2 == pytest.approx(4 + 8 / 64 + 32 / (64 * 256), abs=0.002)


@pytest.mark.parametrize("shape", SIZES)
def test_int8_is_a_scale_for_each_output(shape: tuple[int, int]) -> None:
    weight = drawn(*shape)
    codes, key = Int8.of(weight)
    largest = weight.half().float().abs().amax(1, keepdim=True)
    assert torch.equal(key.scales, largest[:, 0])
    expected = (weight.half().float() / largest * 127).round() * largest / 127
    assert (key.weight(codes, torch.float32) - expected).abs().max() <= 1.001 * float(largest.max()) / 127, (
        "at most one code, where halves round"
    )
    assert float((key.weight(codes, torch.float32) - expected).norm() / expected.norm()) < 1e-3
    assert float((key.weight(codes, torch.float32) - weight).norm() / weight.norm()) < 0.01


@pytest.mark.parametrize("kind", BENCH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_product_and_gradient_are_those_of_a_plain_layer(kind: str, dtype: torch.dtype) -> None:
    bias = nn.Parameter(drawn(96, seed=1).to(dtype), requires_grad=False)
    layer = Quantized(*quantized.KINDS[kind](drawn(96, 48)), bias, False)
    plain = nn.Linear(48, 96, dtype=dtype)
    plain.weight.data, plain.bias.data = layer.weight.to(dtype), bias.data
    x = drawn(3, 10, 48, seed=2).to(dtype)
    slope, mine, theirs = drawn(3, 10, 96, seed=3).to(dtype), x.clone().requires_grad_(), x.clone().requires_grad_()
    out, right = layer(mine), plain(theirs)
    out.backward(slope)
    right.backward(slope)
    assert torch.equal(out, right) and mine.grad is not None and theirs.grad is not None
    assert (mine.grad - theirs.grad).norm() <= {torch.float32: 1e-6, torch.bfloat16: 2e-3, torch.float64: 1e-14}[dtype] * theirs.grad.norm()
    assert not any(p.requires_grad for p in layer.parameters())


@pytest.mark.parametrize("kind", BENCH)
def test_no_layer_is_held_whole_for_the_way_back(kind: str) -> None:
    layer = Quantized(*quantized.KINDS[kind](drawn(256, 256)), None, False)
    held: list[int] = []

    def keep(x: Tensor) -> Tensor:
        held.append(x.nbytes)
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        layer(drawn(4, 256).requires_grad_()).sum()
    assert sum(held) <= 16
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        nn.functional.linear(drawn(4, 256).requires_grad_(), layer.weight).sum()
    assert sum(held) >= 256 * 256 * 4, "a plain product holds it: the measure sees that"


def test_casts_move_what_isnt_codes_alone() -> None:
    model = quantize(base(), "nf4")
    before = {name: layer.weight for name, layer in model.named_modules() if isinstance(layer, Quantized)}
    assert len(before) == 2 * 7
    for cast in (model.double(), model.bfloat16(), copy.deepcopy(model), model.float(), model.to(torch.device("cpu"))):  # pyright: ignore
        for name, layer in cast.named_modules():
            if isinstance(layer, Quantized):
                assert torch.equal(layer.weight, before[name])


@pytest.mark.parametrize("kind", BENCH)
@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_all_layers_but_the_words_are_quantized_and_come_back_plain(kind, shape) -> None:
    model = base(shape)
    there = {name: (type(m), m.weight.shape) for name, m in model.named_modules() if hasattr(m, "weight")}
    lines = adapters.linear_layers(model)
    made = quantize(copy.deepcopy(model), kind)
    assert adapters.linear_layers(made) == lines
    names = {name for name, m in made.named_modules() if isinstance(m, Quantized)}
    assert {name.rpartition(".")[2] for name in names} == set(lines) and "lm_head" not in names
    for name in names:
        layer: Any = made.get_submodule(name)
        back: Any = as_it_stood(whole(layer), layer.turned)
        assert (type(back), back.weight.shape) == there[name]
    assert torch.equal(vectors(made), vectors(model))
    # nf4 is off by a tenth of the weights, int8 by a hundredth
    off = float((logp(made) - logp(model)).abs().max())
    assert 0 < off < {"nf4": 0.5, "int8": 0.05}[kind]


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("kind", BENCH)
def test_an_adapter_begins_as_the_quantized_base_to_the_bit(kind, dora) -> None:
    model = quantize(base(), kind)
    before = logp(model)
    adapted = wrap(model, Lora(dora=dora, base=kind), "policy", seed=0)
    assert torch.equal(logp(adapted), before)
    noise(adapted, "policy")
    assert (logp(adapted) - before).abs().max() > 0.01
    with adapted.disable_adapter():
        assert torch.equal(logp(adapted), before)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("targets", ["all-linear", "one"])
@pytest.mark.parametrize("kind", BENCH)
@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_merged_is_what_was_learnt_in_bfloat16_and_plain(shape, kind, targets, dora, tmp_path) -> None:
    one = {"llama": "q_proj", "gpt2": "c_attn"}[shape]
    adapted = wrap(quantize(base(shape), kind), Lora(dora=dora, base=kind, targets=one if targets == "one" else targets), "policy", seed=0)
    noise(adapted, "policy")
    learnt = logp(adapted)
    plain = merged(adapted, "policy")
    assert torch.equal(logp(adapted), learnt), "a copy was merged"
    assert all(p.dtype == torch.bfloat16 for p in plain.parameters()) and not quantized.quantized(plain)
    assert {name for name, _ in plain.named_parameters()} == {name for name, _ in base(shape).named_parameters()}
    weights.save(plain, TOKENIZER, tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == "bfloat16"
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert float((logp(back) - learnt).norm()) < 0.02 * float((learnt - learnt.mean()).norm())


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
@pytest.mark.parametrize("kind", BENCH)
def test_plain_transformers_quantizes_the_same_base_and_peft_loads_the_adapter(kind, shape, tmp_path) -> None:
    """In training mode: otherwise bitsandbytes rounds scales to bfloat16 on some processors. int8: its own product rounds activations
    too, so it is near, not equal."""
    from peft import PeftModel

    model = create.new(Dimensions(width=64, layers=2, heads=2, context=64), TOKENIZER, seed=0, shape=shape)
    weights.save(model, TOKENIZER, tmp_path / "base")
    ours = wrap(quantize(weights.load(tmp_path / "base")[0], kind), Lora(base=kind), "policy", seed=0)
    noise(ours, "policy")
    adapters.save(ours, "policy", tmp_path / "adapter")
    four: dict[str, Any] = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.float32,
    }
    config = BitsAndBytesConfig(**four) if kind == "nf4" else BitsAndBytesConfig(load_in_8bit=True)
    plain = AutoModelForCausalLM.from_pretrained(
        tmp_path / "base", quantization_config=config, dtype=torch.float32, device_map="cpu"
    ).train()
    bare = logp(plain)
    theirs = logp(PeftModel.from_pretrained(plain, tmp_path / "adapter").train())
    off, moved = float((theirs - logp(ours)).abs().max()), float((theirs - bare).abs().max())
    assert moved > 0.05 and off < {"nf4": 1e-4, "int8": 0.1 * moved}[kind]


def test_what_is_noted_counts_vectors_of_words_once() -> None:
    model = quantize(base(), "nf4")
    told = noted(wrap(model, Lora(base="nf4"), "policy", seed=0).bfloat16())
    bare = base()
    of_words = vectors(bare).numel()
    lines = sum(m.weight.numel() for n, m in bare.named_modules() if isinstance(m, nn.Linear) and n != "lm_head")
    assert told["base"] == "nf4" and 4.1 < told["base_bits"] < 4.6
    assert told["base_bytes_bf16"] == 2 * (of_words + lines + 5 * 32)
    assert math.isclose(told["base_bytes"], 2 * (of_words + 5 * 32) + told["base_bits"] * lines / 8, rel_tol=1e-3)
    assert noted(bare) == {}


def test_without_bitsandbytes_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr(quantized, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"adapter\.base: nf4 needs bitsandbytes; pip install 'tutelage\[quant\]'"):
        quantize(base(), "nf4")
    quantize(base(), "as_is")


def test_a_plain_layers_weights_are_its_own() -> None:
    plain = nn.Linear(4, 4)
    assert weight_of(plain, torch.bfloat16) is plain.weight


def test_the_base_of_60_million_weights_takes_a_third_of_bfloat16s_bytes() -> None:
    """All of it, vectors of words included, as a policy that computes in bfloat16 holds it; they alone are a tenth of the weights."""
    from benchmarks.quantized import SIZES

    model = quantize(create.new(SIZES["60m"], words([], 8192), 0), "nf4")
    made = Policy({"policy": Role(wrap(model, Lora(rank=16, base="nf4"), "policy", 0), "policy", trains=True)}, precision="bf16")
    told = noted(made.roles["policy"].network)
    held = {id(p): p.nbytes for n, p in model.named_parameters() if ".lora_" not in n and p.is_floating_point()}
    assert told["base_bytes"] == sum(held.values()) + sum(m.bytes for m in quantized.quantized(model))
    assert told["base_bytes_bf16"] == 2 * 62_927_616 and 0.32 < told["base_bytes"] / told["base_bytes_bf16"] <= 0.35
    made.finish()
    assert vectors(model).dtype == torch.float32


@pytest.mark.parametrize("size", ["random", "english-14m"])
def test_what_is_learnt_over_four_bits_is_within_a_hundredth(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nats per held-out token after the same steps; a larger one by `python -m benchmarks.quantized`."""
    from benchmarks import quantized as bench

    monkeypatch.setitem(bench.SIZES, "random", Dimensions(128, 3, 4, context=512))
    folder = Path(__file__).resolve().parents[2] / ".." / "shared" / "models" / size
    if size != "random" and not folder.is_dir():
        pytest.skip("no model beside the repository (../shared/models)")
    model, tokens = bench.begin(size if size == "random" else str(folder), 16)
    plain, four = (bench.measure(model, tokens, kind, 16)[0] for kind in ("as_is", "nf4"))
    assert plain.after < plain.before - 0.1, "it learns"
    assert four.before != plain.before and abs(four.after / plain.after - 1) < 0.01
    assert four.bytes < plain.bytes / 2


def test_importing_fetches_no_code_from_the_hub_and_says_nothing_of_it(tmp_path: Path) -> None:
    """bitsandbytes, imported by itself, asks `kernels` for code (on processors with bfloat16 in AVX512) before anybody wanted any."""
    (tmp_path / "kernels.py").write_text("def get_kernel(name, **how):\n    raise SystemExit(f'FETCHED {name}')\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    told = subprocess.run(
        [sys.executable, "-c", "import tutelage.models.adapters, bitsandbytes, kernels; print(kernels.__name__)"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert told.returncode == 0 and told.stdout == "kernels\n", told.stderr
    assert "FETCHED" not in told.stderr and "gemm_4bit" not in told.stderr
