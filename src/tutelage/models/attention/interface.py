"""transformers' attention signature in front of ours."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tutelage.models.attention import blocks, dense, native
from tutelage.models.attention.plan import Plan

TREE, DENSE = "tutelage_tree", "tutelage_tree_dense"
TOLD = {"position_ids", "use_cache", "cache_position", "output_attentions", "output_hidden_states", "is_causal"}
"""What models tell attention beside its arguments and we need not know. Anything else (attention sinks, a soft cap) is refused."""

Attend = Callable[[Tensor, Tensor, Tensor, Plan, float, int | None], Tensor]
"""(q, k, v [T, heads, d], plan, scale, window) -> [T, heads, d]"""


Interface = Callable[..., tuple[Tensor, None]]
"""transformers': (module, query, key, value [1, heads, T, d], mask, ...) -> [1, T, heads, d], and no weights."""


def strange(told: Mapping[str, object]) -> list[str]:
    """What a model tells attention that would have to be obeyed."""
    return [name for name, value in told.items() if name not in TOLD and value is not None]


def no_mask(*_: object, **__: object) -> None:
    """Models build no mask of their own: the plan holds the whole structure."""


def _interface(choose: Callable[[Tensor], Attend]) -> Interface:
    def attention(
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: object,
        scaling: float | None = None,
        dropout: float = 0.0,
        tree: Plan | None = None,
        sliding_window: int | None = None,
        **told: object,
    ) -> tuple[Tensor, None]:
        if tree is None:
            raise ValueError("this model is read through Policy.read, which hands the stream's plan to attention")
        if strange(told):
            raise NotImplementedError(f"{type(module).__name__}: attention over packed trees can't give {', '.join(strange(told))} yet")
        if dropout:
            raise ValueError("attention dropout must be 0: a dropped weight would differ between the policy's two readings of a token")
        if key.shape[2] != query.shape[2]:
            raise NotImplementedError(
                f"{type(module).__name__}: {key.shape[2]} keys for {query.shape[2]} tokens; learnt prefixes aren't known yet"
            )
        # Under autocast the rotary product comes back in float32.
        q_THd, k_THd, v_THd = (x[0].transpose(0, 1).to(value.dtype) for x in (query, key, value))
        scale = scaling if scaling is not None else query.shape[-1] ** -0.5
        return choose(q_THd)(q_THd, k_THd, v_THd, tree, scale, sliding_window)[None], None

    return attention


for _name, _choose in (
    (TREE, lambda q_THd: native.attend if native.takes(q_THd) else blocks.attend),
    (DENSE, lambda q_THd: dense.attend),
):
    AttentionInterface.register(_name, _interface(_choose))
    AttentionMaskInterface.register(_name, no_mask)
