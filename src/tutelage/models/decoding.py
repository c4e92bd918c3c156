"""How a model writes: attention over what was kept of each row, for any model that goes through `AttentionInterface`.

The cache is the keyword `decoding` of the model's `forward`, which transformers hands through to the attention function. There are two
kinds: `cache.KeyCache` by torch, for any dtype, device and attention; `slots.SlotCache` by our kernels. Each one's
`read(prompts, tokens, forward, prefix)` reads every distinct prompt once, equal ones standing side by side, `tokens` being what will be
written at most; `prefix` holds the first tokens of every row, whose keys and values are known, so that positions count from its length. It
returns the cache of all rows, and the hidden states [B, D] that their first tokens are drawn from. Models that can't be written with so
keep what they keep themselves (models/own.py).

B rows, Q columns of this call, H key heads, G query heads of a key head, d head width, D width.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from tutelage.models.attention import no_mask, strange
from tutelage.models.attention.beside import NOTHING, Beside

NAME = "tutelage_decode"
PREFILL = 8192
"""Tokens of prompts that are read in one pass."""


class Rows(Protocol):
    """What is kept of the rows that are being written."""

    def advance(self) -> Tensor:
        """Make place for the next token of every row; returns their position_ids [B, 1]."""
        ...

    def keep(self, keep_B: Tensor) -> Tensor:
        """Drop the other rows. Returns which of the rows stand where now."""
        ...


class Cache(Rows, Protocol):
    """Their keys and values."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, beside: Beside = NOTHING) -> Tensor:
        """Keep k and v [B, H, Q, d] of this call; q [B, H * G, Q, d] sees what it may see: [B, Q, H * G, d]. `beside` has a cap or a
        sink; a learnt prefix is the cache's own."""
        ...


Forward = Callable[[Tensor, Tensor, Cache], Tensor]
"""(ids [B, Q], position_ids [B, Q], cache) -> [B, Q, D] last hidden states."""
Prompt = tuple[int, ...]


def through(model: PreTrainedModel) -> Forward:
    """The network as a Forward."""

    def forward(ids_BQ: Tensor, position_BQ: Tensor, kept: Cache) -> Tensor:
        out = model.base_model(input_ids=ids_BQ, position_ids=position_BQ, decoding=kept, use_cache=False)
        return out.last_hidden_state

    return forward


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    decoding: Cache | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **told: object,
) -> tuple[Tensor, None]:
    """transformers' attention signature: [B, H * G, Q, d] in, [B, Q, H * G, d] out."""
    if decoding is None or dropout or strange(told):
        raise NotImplementedError(f"{type(module).__name__}: sampling can't give attention {strange(told) or 'dropout, or no cache'}")
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast the rotary product comes back in float32
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    layer, beside = int(module.layer_idx), Beside(softcap, s_aux)  # pyright: ignore[reportArgumentType]
    return decoding.attend(layer, query, key, value, scale, sliding_window, beside), None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, no_mask)


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Within, `model` is in evaluation mode; afterwards as before."""
    modes = [(module, module.training) for module in model.modules()] if model.training else []
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def attending(model: PreTrainedModel, name: str = NAME) -> Iterator[None]:
    """Within, `model` computes attention by the function registered as `name`, and is in evaluation mode; afterwards as before. Raises
    NotImplementedError for a family with an attention of its own."""
    before = model.config._attn_implementation
    if not model._can_set_attn_implementation():  # transformers would warn and go on
        raise NotImplementedError("attention of its own, not through transformers' AttentionInterface")
    model.set_attn_implementation(name)
    try:
        with evaluating(model):
            yield
    finally:
        model.set_attn_implementation(before or "eager")
