"""transformers' attention signature in front of ours."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tutelage.models.attention import blocks, dense, flex, native
from tutelage.models.attention.beside import Beside, Scoring
from tutelage.models.attention.plan import Plan

TREE, DENSE = "tutelage_tree", "tutelage_tree_dense"
TOLD = {"position_ids", "use_cache", "cache_position", "output_attentions", "output_hidden_states", "is_causal"}
"""What models tell attention beside its arguments and we need not know. Anything that isn't named is refused."""

Attend = Callable[[Tensor, Tensor, Tensor, Scoring], Tensor]
"""(q, k, v [T, heads, d], how) -> [T, heads, d]"""

Layers = Mapping[int, tuple[Tensor, Tensor]]
"""A learnt prefix: its keys and values [P, heads, d] by layer."""


Interface = Callable[..., tuple[Tensor, None]]
"""transformers': (module, query, key, value [1, heads, T, d], mask, ...) -> [1, T, heads, d], and no weights."""


def strange(told: Mapping[str, object]) -> list[str]:
    """What a model tells attention that would have to be obeyed."""
    return [name for name, value in told.items() if name not in TOLD and value is not None]


def no_mask(*_: object, **__: object) -> None:
    """Models build no mask of their own: the plan holds the whole structure."""


def _interface(choose: Callable[[Tensor, Tensor, Scoring], Attend]) -> Interface:
    def attention(
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: object,
        scaling: float | None = None,
        dropout: float = 0.0,
        tree: Plan | None = None,
        prefix: Layers | None = None,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        **told: object,
    ) -> tuple[Tensor, None]:
        if tree is None:
            raise ValueError("this model is read through Policy.read, which hands the stream's plan to attention")
        _check(module, query, key, dropout, told)
        # Under autocast the rotary product comes back in float32.
        q_THd, k_THd, v_THd = (x[0].transpose(0, 1).to(value.dtype) for x in (query, key, value))
        beside = Beside(softcap, s_aux, None if prefix is None else prefix[_layer(module)])
        how = Scoring(tree, scaling if scaling is not None else query.shape[-1] ** -0.5, sliding_window, beside)
        return choose(q_THd, v_THd, how)(q_THd, k_THd, v_THd, how)[None], None

    return attention


def _check(module: torch.nn.Module, query: Tensor, key: Tensor, dropout: float, told: Mapping[str, object]) -> None:
    """Refuse what would come out wrong."""
    name = type(module).__name__
    if strange(told):
        raise NotImplementedError(f"{name}: attention over packed trees can't give {', '.join(strange(told))} yet")
    if dropout:
        raise ValueError("attention dropout must be 0: a dropped weight would differ between the policy's two readings of a token")
    if key.shape[2] != query.shape[2]:  # a cache, or a learnt prefix by a way of its own: the plan would be off by that much
        raise NotImplementedError(f"{name}: {key.shape[2]} keys for {query.shape[2]} tokens; only the policy's own prefix is known here")


def _layer(module: torch.nn.Module) -> int:
    layer = module.layer_idx
    assert isinstance(layer, int)
    return layer


def _way(q_THd: Tensor, v_THd: Tensor, how: Scoring) -> Attend:
    """The fastest that there is for these numbers and this device."""
    if native.takes(q_THd, v_THd, how.beside):
        return native.attend
    return flex.attend if flex.takes(q_THd, how) else blocks.attend


for _name, _choose in ((TREE, _way), (DENSE, lambda q_THd, v_THd, how: dense.attend)):
    AttentionInterface.register(_name, _interface(_choose))
    AttentionMaskInterface.register(_name, no_mask)
