"""Activations made again: the same gradient to the bit, and little is kept."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from tutelage.core.errors import UserError
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import SHAPES, Bench, policy
from tutelage.engine.invariants.checks import gradient
from tutelage.models.attention import SEPARATE, TREE
from tutelage.models.policy import Policy
from tutelage.models.recompute import keep, layers, recompute
from tutelage.objectives.dpo import DPO
from tutelage.objectives.mixture import with_text
from tutelage.objectives.ppo import PPO
from tutelage.objectives.sft import SFT

OBJECTIVES = {"sft": SFT(), "dpo": DPO(), "ppo_ptx": with_text("ppo", PPO(), SFT(), 0.5)}


def remade(made: Policy) -> Policy:
    for role in made.roles.values():
        recompute(role.network)
    return made


def gradients(bench: Bench, name: str) -> tuple[Tensor, Tensor]:
    objective = OBJECTIVES[name]
    made = (policy(bench, objective.needs), remade(policy(bench, objective.needs)))
    one, other = (gradient(Engine(p, objective, micro_tokens=40), objective.specimens()) for p in made)
    return one, other


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_every_family_is_the_same_to_the_bit(shape: str) -> None:
    kept, again = gradients(Bench(shape, dtype=torch.float32), "sft")
    assert kept.equal(again) and kept.norm() > 0


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("adapter", ["", "lora", "dora", "prefix"])
@pytest.mark.parametrize("attention", [TREE, SEPARATE])
def test_so_is_that_of_every_adapter_and_way_of_attention(name: str, adapter: str, attention: str) -> None:
    kept, again = gradients(Bench("llama", adapter, torch.float32, attention), name)
    assert kept.equal(again) and kept.norm() > 0


def kept_bytes(made: Policy) -> int:
    """That one reading of the specimens holds for the backward pass, weights apart. What a layer will make again never comes by here:
    inside of it another such hook stands on top."""
    weights = {p.untyped_storage().data_ptr() for p in made.roles["policy"].network.parameters()}
    held: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage.nbytes()
        return x

    with saved_tensors_hooks(pack, lambda x: x):
        batch = SFT().collate(SFT().specimens())
        kept = made.read(batch, ("logp",))  # lives until all are counted
        del kept
    return sum(held.values())


def test_a_layer_keeps_its_input_alone() -> None:
    bench, objective = Bench(dtype=torch.float32), SFT()
    whole, little = kept_bytes(policy(bench, objective.needs)), kept_bytes(remade(policy(bench, objective.needs)))
    assert little < 0.3 * whole


def test_it_is_undone() -> None:
    made = policy(Bench(), ("logp",))
    network = made.roles["policy"].network
    recompute(network)
    recompute(network)
    assert all("forward" in vars(layer) for layer in layers(network))
    keep(network)
    assert len(layers(network)) == 2 and not any("forward" in vars(layer) for layer in layers(network))


def test_without_gradient_nothing_is_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    made = remade(policy(Bench(), ("logp",)))
    monkeypatch.setattr("tutelage.models.recompute.checkpoint", None)
    with torch.no_grad():
        made.read(SFT().collate(SFT().specimens()), ("logp",))
    with pytest.raises(TypeError):  # the planted fault is seen where a gradient is wanted
        made.read(SFT().collate(SFT().specimens()), ("logp",))


def test_a_network_without_a_list_of_layers_is_refused() -> None:
    network: Any = policy(Bench(), ("logp",)).roles["policy"].network
    network.model.layers = nn.Sequential(*network.model.layers)
    with pytest.raises(UserError, match=r"machine.recompute: LlamaForCausalLM has no list of layers"):
        recompute(network)
