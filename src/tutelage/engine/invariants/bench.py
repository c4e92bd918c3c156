"""The policies on which invariants are measured: float64 through and through, so that a difference is a fault and not rounding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from tutelage.engine.invariants.families import SHAPES, VOCABULARY, WIDTH, clean, make
from tutelage.models.adapters import Lora, parameters, wrap
from tutelage.models.attention import TREE
from tutelage.models.heads import ScalarHead
from tutelage.models.policy import SCALARS, Policy
from tutelage.models.prefix import Prefix
from tutelage.models.quantized import quantize
from tutelage.models.roles import Role

__all__ = ["ADAPTERS", "SHAPES", "VOCABULARY", "Bench", "adapted", "network", "policy"]

ADAPTERS = {
    "lora": Lora(rank=4, alpha=8),
    "dora": Lora(rank=4, alpha=8, dora=True),
    "prefix": Prefix(tokens=5),
    "nf4": Lora(rank=4, alpha=8, base="nf4"),
    "int8": Lora(rank=4, alpha=8, base="int8"),
}


@dataclass(frozen=True)
class Bench:
    """How the networks of one proof are made. `adapter` is one of ADAPTERS, or none; `noise` moves it off its identity start."""

    shape: str = "llama"
    adapter: str = ""
    dtype: torch.dtype = torch.float64
    attention: str = TREE
    noise: float = 0.3

    @property
    def name(self) -> str:
        return f"{self.shape}{' + ' if self.adapter else ''}{self.adapter}"


def network(bench: Bench, seed: int) -> PreTrainedModel:
    """A causal language model of two layers, its weights a function of the seed."""
    return clean(make(bench.shape, seed, bench.dtype))


def policy(bench: Bench, needs: Sequence[str], seed: int = 0, same_reference: bool = False) -> Policy:
    """A policy with every role that `needs` names. References differ from the policy unless `same_reference`."""
    roles: dict[str, Role] = {}
    named = {need.partition("@")[2] or "policy" for need in needs} | {"policy"}
    for n, name in enumerate(sorted(named, key=lambda role: (role != "policy", role))):
        scalar = any(need.partition("@")[0] in SCALARS and (need.partition("@")[2] or "policy") == name for need in needs)
        roles[name] = _role(bench, seed if same_reference and not scalar else seed + 10 * n, scalar, name in ("policy", "value"))
    return Policy(roles, attention=bench.attention)


def _role(bench: Bench, seed: int, scalar: bool, trains: bool) -> Role:
    bare, kind = network(bench, seed), ADAPTERS.get(bench.adapter)
    bare = quantize(bare, kind.base) if isinstance(kind, Lora) else bare
    model = adapted(bare, bench.adapter, seed + 1, bench.noise) if bench.adapter and trains else bare
    head = ScalarHead(WIDTH, bench.dtype) if scalar else None
    if head is not None:
        head.weight.data.normal_(0.0, 0.2, generator=torch.Generator().manual_seed(seed + 2))
    return Role(model, "policy" if bench.adapter and trains else None, head, trains)


def adapted(model: PreTrainedModel, adapter: str, seed: int, noise: float = 0.3) -> nn.Module:
    """`model` with an adapter of ADAPTERS, "policy", in the model's dtype: what starts at zero is noise, what starts elsewhere moved."""
    dtype = next(model.parameters()).dtype
    wrapped = wrap(model, ADAPTERS[adapter], "policy", seed)
    nn.Module.to(wrapped, dtype)
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(parameters(wrapped, "policy").items()):
        if noise and "lora_A" not in name:
            drawn = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(dtype)
            p.data.copy_(p.data * (1 + noise * drawn) if "magnitude" in name else noise * drawn)
    return wrapped
