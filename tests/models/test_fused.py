"""What lies between matrix products, by our kernels, against transformers' own modules in float64: values and gradients."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.gemma3.modeling_gemma3 import Gemma3MLP, Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP, LlamaRMSNorm, LlamaRotaryEmbedding
from transformers.models.mistral.modeling_mistral import MistralAttention, MistralMLP, MistralRMSNorm
from transformers.models.olmo2.modeling_olmo2 import Olmo2MLP, Olmo2RMSNorm
from transformers.models.phi3.modeling_phi3 import Phi3MLP, Phi3RMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention, Qwen2MLP, Qwen2RMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention, Qwen3MLP, Qwen3RMSNorm

from tutelage.models.create import Dimensions, new
from tutelage.models.fused import functions, fuse, release
from tutelage.models.fused.functions import weight_gradient
from tutelage.models.kernels.build import library
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.models.tokenizer import words

pytestmark = pytest.mark.skipif(library() is None, reason="no processor that multiplies bfloat16, or no compiler")
ROUNDING = 2.0**-8
"""The relative error of a number rounded to bfloat16 is at most half of this."""
SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "num_hidden_layers": 1,
    "vocab_size": 32,
    "sliding_window": 5,
    "pad_token_id": 0,
}


def config(kind: type[PreTrainedConfig], **more: int) -> Any:
    own = kind(**{**SHAPE, **more})
    own._attn_implementation = "sdpa"
    return own


def scattered(module: nn.Module, seed: int) -> nn.Module:
    """Every parameter away from what it starts with."""
    generator = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        p.data = p.data + torch.randn(p.shape, generator=generator) * 0.1
    return module.eval()


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def ran(module: nn.Module, x: Tensor, slope: Tensor, **told: Any) -> list[Tensor]:
    """Output, the input's gradient, and every parameter's."""
    x = x.clone().requires_grad_()
    out = module(x, **told)
    out = out[0] if isinstance(out, tuple) else out
    out.backward(slope)
    return [out.detach(), *(y.grad for y in (x, *module.parameters()) if y.grad is not None)]


DRAWS = 6
"""Numbers to run on; one draw of few numbers says little about rounding."""


def compare(module: nn.Module, x: Tensor, told: Callable[[torch.dtype], dict[str, Any]]) -> None:
    """Ours is as near to float64 as what it stands for (root mean square over draws), is really ours, and is given back. All are told the
    same rounded weights."""
    module = module.bfloat16()
    exact, usual = deepcopy(module).double(), deepcopy(module)
    fuse(module)
    assert "forward" in vars(module)
    errors: list[list[tuple[float, float]]] = []
    for draw in range(DRAWS):
        given, slope = x * numbers(*x.shape, seed=10 + draw), numbers(*x.shape, seed=20 + draw)
        truth = ran(exact, given.double(), slope.double(), **told(torch.float64))
        pairs = zip(ran(module, given, slope, **told(torch.bfloat16)), ran(usual, given, slope, **told(torch.bfloat16)), truth, strict=True)
        errors.append([(off(ours, right), off(theirs, right)) for ours, theirs, right in pairs])
        for each in (exact, usual, module):
            each.zero_grad()
    for ours, theirs in (torch.tensor(each).square().mean(0).sqrt().tolist() for each in zip(*errors, strict=True)):
        assert ours <= max(1.2 * theirs, ROUNDING / 2)
    release(module)
    assert "forward" not in vars(module)


def off(found: Tensor, truth: Tensor) -> float:
    return float((found.double() - truth).norm() / truth.norm())


@pytest.mark.parametrize("norm", [LlamaRMSNorm, MistralRMSNorm, Qwen2RMSNorm, Qwen3RMSNorm, Olmo2RMSNorm, Phi3RMSNorm, Gemma3RMSNorm])
@pytest.mark.parametrize("rows", [1, 40])
def test_norm(norm: type[nn.Module], rows: int) -> None:
    compare(scattered(norm(64), 1), numbers(2, rows, 64) * 3, lambda _: {})


@pytest.mark.parametrize(
    ("kind", "mlp"),
    [
        (LlamaConfig, LlamaMLP),
        (MistralConfig, MistralMLP),
        (Qwen2Config, Qwen2MLP),
        (Qwen3Config, Qwen3MLP),
        (Olmo2Config, Olmo2MLP),
        (Gemma3TextConfig, Gemma3MLP),
        (Phi3Config, Phi3MLP),
    ],
)
def test_feed_forward(kind: type[PreTrainedConfig], mlp: type[nn.Module]) -> None:
    compare(scattered(mlp(config(kind)), 2), numbers(1, 64, 64) * 2, lambda _: {})


@pytest.mark.parametrize(
    ("kind", "attention"),
    [(LlamaConfig, LlamaAttention), (MistralConfig, MistralAttention), (Qwen2Config, Qwen2Attention), (Qwen3Config, Qwen3Attention)],
)
@pytest.mark.parametrize("width", [16, 32, 48])
def test_attention(kind: type[PreTrainedConfig], attention: Callable[..., nn.Module], width: int) -> None:
    own = config(kind, head_dim=width)
    turn = LlamaRotaryEmbedding(config(LlamaConfig, head_dim=width))
    mask = torch.ones(24, 24, dtype=torch.bool).tril()[None, None]

    def told(dtype: torch.dtype) -> dict[str, Any]:
        angles = tuple(x.to(dtype) for x in turn(numbers(1, 24, 64), torch.arange(24)[None]))
        return {"position_embeddings": angles, "attention_mask": mask}

    compare(scattered(attention(own, layer_idx=0), 3), numbers(1, 24, 64), told)


@pytest.mark.parametrize("kind", [functions.SILU, functions.GELU])
def test_a_gate_of_any_size_stays_finite(kind: int) -> None:
    a = torch.linspace(-1e4, 1e4, 320).bfloat16().requires_grad_()
    b = torch.ones(320, dtype=torch.bfloat16).requires_grad_()
    functions.gated(a, b, kind).backward(torch.ones(320, dtype=torch.bfloat16))
    assert all(x is not None and bool(x.isfinite().all()) for x in (a.grad, b.grad))
    assert a.grad is not None and abs(float(a.grad[0])) < 1e-20 and float(a.grad[-1]) == 1


@pytest.mark.parametrize(("tokens", "outputs", "columns"), [(32, 32, 32), (96, 64, 160), (544, 96, 64), (1056, 320, 96), (64, 608, 32)])
def test_a_weights_gradient_is_added_up_in_float32(tokens: int, outputs: int, columns: int) -> None:
    grad, x = numbers(tokens, outputs), numbers(tokens, columns, seed=1)
    product = grad.double().t() @ x.double()
    start = numbers(outputs, columns, seed=2).float()
    for fresh, expected in ((True, product), (False, product + start)):
        to = start.clone()
        weight_gradient(to, grad, x, fresh)
        assert off(to, expected) < 1e-6
    wide = numbers(tokens, 2 * outputs, seed=3)
    to = torch.empty(outputs, columns)
    weight_gradient(to, wide[:, outputs:], x, True)
    expected = wide[:, outputs:].double().t() @ x.double()
    assert off(to, expected) < 1e-6


def test_layers_that_read_the_same_x_learn_together_as_apart() -> None:
    """Of different widths, with and without a bias; the second time gradients are added."""
    x = numbers(1, 544, 64).requires_grad_()
    layers = [(numbers(width, 64, seed=width), None if width == 96 else numbers(width, seed=9).requires_grad_()) for width in (96, 32, 320)]
    for weight, _ in layers:
        weight.master = nn.Parameter(weight.float())  # pyright: ignore[reportAttributeAccessIssue]
    slopes = [numbers(1, 544, len(weight), seed=20 + len(weight)) for weight, _ in layers]
    exact = x.detach().double()
    for times in (1, 2):
        out = functions.linears(x, layers)
        torch.autograd.backward(out, slopes)
        for (weight, bias), y, slope in zip(layers, out, slopes, strict=True):
            assert torch.equal(y, nn.functional.linear(x, weight, bias))
            expected = times * (slope[0].double().T @ exact[0])
            assert weight.grad is None and off(weight.master.grad, expected) < 1e-6  # pyright: ignore[reportAttributeAccessIssue]
            assert bias is None or (bias.grad is not None and off(bias.grad, times * slope[0].double().sum(0)) < ROUNDING)
        expected = times * sum(slope.double() @ weight.double() for (weight, _), slope in zip(layers, slopes, strict=True))
        assert x.grad is not None and isinstance(expected, Tensor) and off(x.grad, expected) < ROUNDING


def test_masters_hear_what_linear_layers_learn_and_finish_gives_everything_back() -> None:
    tokenizer = words(["a", "few", "words"])
    network = new(Dimensions(64, 2, 2, context=64), tokenizer, 0)
    plain = {name: type(module).forward for name, module in network.named_modules()}
    policy = Policy({"policy": Role(network, trains=True)}, tokenizer, "bf16")
    weight = network.model.layers[0].mlp.up_proj.weight
    master = policy.masters.of(weight)
    x, slope = numbers(1, 64, 64), numbers(1, 64, weight.shape[0], seed=1)
    expected = slope[0].double().t() @ x[0].double()
    for times in (1, 2):
        network.model.layers[0].mlp.up_proj(x).backward(slope)
        assert weight.grad is None and master.grad is not None and master.grad.dtype == torch.float32
        assert off(master.grad, times * expected) < 1e-6
    policy.finish()
    assert all(module.forward.__func__ is plain[name] for name, module in network.named_modules())
    assert not hasattr(weight, "master")
