"""Prefix tuning through peft: keys and values of P tokens that were never written, learnt for every layer, stand before every path
(Li & Liang 2021). Tokens see them in addition to their path, and their positions count from P. Nothing of them can be merged into weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge
from peft import PeftModel, PrefixTuningConfig
from torch import Tensor, nn
from transformers import Cache

from tutelage.models.roles import Role


@dataclass(frozen=True)
class Prefix:
    """A learnt prefix."""

    kind: Literal["prefix"] = "prefix"
    """Tells a prefix from LoRA."""
    tokens: Annotated[int, Ge(1)] = 16
    """Learnt keys and values of each layer; 8 to 128 are usual. They take their share of the context."""


@dataclass(frozen=True)
class Learnt:
    """`layers`: keys and values [P, H, d] of each layer; a sliding-window layer may have fewer, the last ones."""

    tokens: int
    layers: Mapping[int, tuple[Tensor, Tensor]]


def has_prefix(role: Role) -> bool:
    """Whether the role speaks, or scores, with a learnt prefix."""
    return length(role) > 0


def learnt(role: Role) -> Learnt | None:
    """The prefix of an active role; None where it has none."""
    if not has_prefix(role):
        return None
    kept: list[Any] = list(cached(role, 1).layers)
    layers = {n: (layer.keys[0].transpose(0, 1), layer.values[0].transpose(0, 1)) for n, layer in enumerate(kept)}
    return Learnt(length(role), layers)


def spoken(network: nn.Module) -> Learnt | None:
    """The prefix that `network` has as its adapters are switched now; None where it has none."""
    role = _switched(network)
    return None if role is None else learnt(role)


def spoken_cache(network: nn.Module, rows: int) -> Cache | None:
    """The same as transformers' cache, for `rows` sequences."""
    role = _switched(network)
    return cached(role, rows) if role is not None and has_prefix(role) else None


def _switched(network: nn.Module) -> Role | None:
    """The role that an adapted network has now."""
    if not isinstance(network, PeftModel) or not network.active_peft_config.is_prompt_learning or network._adapters_disabled:
        return None
    (name,) = network.active_adapters
    return Role(network, name)


def length(role: Role) -> int:
    """Tokens of the role's prefix; 0 where it has none."""
    config = _config(role.network, role.adapter) if isinstance(role.network, PeftModel) and role.adapter is not None else None
    return 0 if config is None else config.num_virtual_tokens


def cached(role: Role, rows: int) -> Cache:
    """The prefix of an active role as transformers' cache, for `rows` sequences."""
    assert isinstance(role.network, PeftModel)
    cache = role.network.get_prompt(rows)
    assert isinstance(cache, Cache)
    return cache


def _config(network: PeftModel, adapter: str) -> PrefixTuningConfig | None:
    config = network.peft_config[adapter]
    if config.is_prompt_learning and not isinstance(config, PrefixTuningConfig):
        raise NotImplementedError(f"adapter {adapter!r}: {type(config).__name__} isn't known here; of learnt prompts only prefix tuning is")
    return config if isinstance(config, PrefixTuningConfig) else None
