"""peft's LoRA layer by our products, beside the equation in float64 and peft's own: values, gradients, a fresh adapter, the switch."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.test_fused import DRAWS, numbers, off
from tutelage.models.adapters import Lora, wrap
from tutelage.models.create import Dimensions, new
from tutelage.models.fused import modules
from tutelage.models.kernels.build import library
from tutelage.models.policy import Policy
from tutelage.models.quantized import Base, quantize
from tutelage.models.roles import Role, active
from tutelage.models.tokenizer import words

pytestmark = pytest.mark.skipif(library() is None, reason="no processor that multiplies bfloat16, or no compiler")


def policy(rank: int, ours: bool, monkeypatch: pytest.MonkeyPatch, base: Base = "as_is") -> Policy:
    """One layer of width 64 with an adapter away from its start."""
    tokenizer = words(["a", "few", "words"])
    network = wrap(quantize(new(Dimensions(64, 1, 2, context=64), tokenizer, 0), base), Lora(rank=rank, alpha=2.0 * rank), "policy", 0)
    for name, p in network.named_parameters():
        if "lora_B" in name:
            p.data.normal_(0, 0.05, generator=torch.Generator().manual_seed(1))
    if not ours:
        monkeypatch.setattr(modules, "lora", type(layer(network)).forward)
    return Policy({"policy": Role(network, "policy", trains=True)}, tokenizer, "bf16")


def layer(network: nn.Module) -> Any:
    return network.get_submodule("base_model.model.model.layers.0.mlp.up_proj")


def ran(made: Policy, x: Tensor, slope: Tensor) -> list[Tensor]:
    """Output and gradients of x, A and B, these in their masters."""
    own, x = layer(made.roles["policy"].network), x.clone().requires_grad_()
    masters = [made.masters.of(side["policy"].weight) for side in (own.lora_A, own.lora_B)]
    for master in masters:
        master.grad = None
    out = own(x)
    out.backward(slope)
    return [out.detach(), *(y.grad for y in (x, *masters) if y.grad is not None)]


def exact(made: Policy, x: Tensor, slope: Tensor) -> list[Tensor]:
    own, x = layer(made.roles["policy"].network), x.double().requires_grad_()
    sides = [side["policy"].weight.detach().double().requires_grad_() for side in (own.lora_A, own.lora_B)]
    out = x @ own.base_layer.weight.double().T + 2 * (x @ sides[0].T) @ sides[1].T
    out.backward(slope.double())
    return [out.detach(), *(y.grad for y in (x, *sides) if y.grad is not None)]


@pytest.mark.parametrize("base", ["as_is", "nf4", "int8"])
@pytest.mark.parametrize("rank", [1, 8, 48])
def test_values_and_gradients_are_as_near_to_float64_as_pefts(rank: int, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[list[tuple[float, float]]] = []
    ours, pefts = policy(rank, True, monkeypatch, base), policy(rank, False, monkeypatch, base)
    for draw in range(DRAWS):
        x = numbers(1, 64, 64, seed=draw)
        slope = numbers(1, 64, layer(ours.roles["policy"].network).out_features, seed=100 + draw)
        rows = zip(ran(ours, x, slope), ran(pefts, x, slope), exact(ours, x, slope), strict=True)
        errors.append([(off(own, truth), off(theirs, truth)) for own, theirs, truth in rows])
    for own, theirs in (torch.tensor(each).square().mean(0).sqrt().tolist() for each in zip(*errors, strict=True)):
        assert own <= max(1.2 * theirs, 2.0**-9)


def test_gradients_add_up_and_the_base_and_its_vectors_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made, x = policy(8, True, monkeypatch), numbers(1, 64, 64)
    own = layer(made.roles["policy"].network)
    slope, masters = numbers(1, 64, own.out_features), [made.masters.of(side["policy"].weight) for side in (own.lora_A, own.lora_B)]
    for times in (1, 2):
        own(x).backward(slope)
        for master, expected in zip(masters, exact(made, x, slope)[2:], strict=True):
            assert master.grad is not None and off(master.grad, times * expected) < 2.0**-7
    assert own.base_layer.weight.grad is None and not own.base_layer.weight.requires_grad


@pytest.mark.parametrize("base", ["as_is", "nf4", "int8"])
def test_a_fresh_adapter_and_a_switched_off_one_change_no_bit(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    made, x = policy(8, True, monkeypatch, base), numbers(1, 64, 64)
    role = made.roles["policy"]
    own = layer(role.network)
    with torch.no_grad():
        plain = own.base_layer(x)
        with active(role):
            assert not torch.equal(own(x), plain)
        with active(Role(role.network)):
            assert torch.equal(own(x), plain)
        own.lora_B["policy"].weight.zero_()
        assert torch.equal(own(x), plain)
    assert torch.equal(own(x), plain)
    few = numbers(1, 3, 64, seed=3)  # rows that fill no tile learn by peft's own way
    own(few).sum().backward()
    assert made.masters.of(own.lora_B["policy"].weight).grad is not None
