"""Keys and values of rows that are being written, and attention over them, for any model that goes through `AttentionInterface`.

Rows end in the same column: prompts stand flush right, so that every row's next token goes into one and the same column, a row's
unused columns all lie to its left, and the distance of two columns is the distance of two positions. A step is then one slice
written and one slice read; a sliding window is a shorter slice. The cache is the keyword `decoding` of the model's `forward`, which
transformers hands through to the attention function.

B rows, C columns, Q columns of this call, H heads, G query heads of a key head, d head width.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from tutelage.models.attention import no_mask, strange

NAME = "tutelage_decode"
BLOCK = 64
"""Columns by which a full cache grows."""


class KeyCache:
    """keys[layer], values[layer]: [rows, H, columns, d], of which `rows` x `used` are in use; offset_B: each row's first column."""

    def __init__(self, offset_B: Tensor, room: int) -> None:
        self.offset_B = offset_B
        self.rows = len(offset_B)
        self.room = room
        self.used = 0
        self.first = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self._seen: dict[int | None, tuple[int, Tensor | None]] = {}

    def advance(self, columns: int) -> Tensor:
        """Make place for the next `columns` of every row; returns their position_ids [B, columns] (0 left of a row's start)."""
        self.first, self.used = self.used, self.used + columns
        self._seen.clear()
        if self.used > self.room:
            self.room = self.used + BLOCK
            self.keys, self.values = ([self._grown(x) for x in kept] for kept in (self.keys, self.values))
        column_Q = torch.arange(self.first, self.used, device=self.offset_B.device)
        return (column_Q - self.offset_B[:, None]).clamp_(min=0)

    def _grown(self, old: Tensor) -> Tensor:
        new = old.new_empty(self.rows, old.shape[1], self.room, old.shape[3])
        new[:, :, : self.first] = old[: self.rows, :, : self.first]
        return new

    def write(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Put this call's [B, H, Q, d] into its columns; returns all columns in use."""
        if layer == len(self.keys):
            for kept, new in ((self.keys, key), (self.values, value)):
                kept.append(new.new_empty(self.rows, new.shape[1], self.room, new.shape[3]))
        out: list[Tensor] = []
        for kept, new in ((self.keys[layer], key), (self.values[layer], value)):
            kept[: self.rows, :, self.first : self.used] = new
            out.append(kept[: self.rows, :, : self.used])
        return out[0], out[1]

    def seen(self, window: int | None) -> tuple[int, Tensor | None]:
        """(first column to read, mask [B, 1, Q, columns read] or None where all of them are seen)."""
        if window not in self._seen:
            self._seen[window] = self._sight(window)
        return self._seen[window]

    def _sight(self, window: int | None) -> tuple[int, Tensor | None]:
        left = int(self.offset_B.min())
        if window is not None:
            left = max(left, self.first + 1 - window)
        query_Q = torch.arange(self.first, self.used, device=self.offset_B.device)[:, None]
        key_C = torch.arange(left, self.used, device=self.offset_B.device)
        seen_BQC = (key_C <= query_Q) & (key_C >= self.offset_B[:, None, None])
        if window is not None:
            seen_BQC = seen_BQC & (key_C > query_Q - window)
        if bool(seen_BQC.all()):
            return left, None
        # A column left of its row's start sees itself alone: its numbers are finite, and nobody reads them.
        return left, (seen_BQC | (key_C == query_Q))[:, None]

    def place(self, prompts: "KeyCache", first: int, prompt_N: Tensor) -> None:
        """Copy the rows `prompt_N` of another cache to the rows from `first` on, flush right at column `used`."""
        for layer, (key, value) in enumerate(zip(prompts.keys, prompts.values, strict=True)):
            if layer == len(self.keys):
                for kept, new in ((self.keys, key), (self.values, value)):
                    kept.append(new.new_empty(self.rows, new.shape[1], self.room, new.shape[3]))
            for kept, new in ((self.keys[layer], key), (self.values[layer], value)):
                to = kept[first : first + len(prompt_N)]
                to[:, :, self.used - prompts.used : self.used] = new[prompt_N]
                # Never seen, but a masked product must be finite, and fresh memory may hold anything.
                to[:, :, : self.used - prompts.used] = 0

    def keep(self, keep_B: Tensor) -> tuple[int, Tensor, Tensor]:
        """Drop rows: the last ones kept move into the holes. Returns (rows left, holes, rows that moved there)."""
        left = int(keep_B.sum())
        hole_N = (~keep_B[:left]).nonzero()[:, 0]
        from_N = keep_B[left:].nonzero()[:, 0] + left
        for kept in (*self.keys, *self.values):
            kept[hole_N, :, : self.used] = kept[from_N, :, : self.used]
        self.offset_B = moved(self.offset_B, left, hole_N, from_N)
        self.rows = left
        return left, hole_N, from_N


def moved(x_B: Tensor, left: int, hole_N: Tensor, from_N: Tensor) -> Tensor:
    """The same move for a column of numbers beside the cache."""
    x_B = x_B.clone()
    x_B[hole_N] = x_B[from_N]
    return x_B[:left]


def decode_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    decoding: KeyCache | None = None,
    sliding_window: int | None = None,
    **told: object,
) -> tuple[Tensor, None]:
    """transformers' attention signature: [B, H * G, Q, d] in, [B, Q, H * G, d] out."""
    if decoding is None or dropout or strange(told):
        raise NotImplementedError(f"{type(module).__name__}: sampling can't give attention {strange(told) or 'dropout, or no cache'}")
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast the rotary product comes back in float32
    keys, values = decoding.write(int(module.layer_idx), key, value)  # pyright: ignore[reportArgumentType]
    left, mask = decoding.seen(sliding_window)
    keys, values = keys[:, :, left:], values[:, :, left:]
    rows, _, columns, width = query.shape
    if columns == 1:  # query heads of one key head stand side by side, so keys are never repeated
        packed = query.view(rows, keys.shape[1], -1, width)
        return scaled_dot_product_attention(packed, keys, values, mask, scale=scaling).reshape(rows, 1, -1, width), None
    group = query.shape[1] // keys.shape[1]
    keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
    return scaled_dot_product_attention(query, keys, values, mask, scale=scaling).transpose(1, 2), None


AttentionInterface.register(NAME, decode_attention)
AttentionMaskInterface.register(NAME, no_mask)


@contextmanager
def attending(model: PreTrainedModel, name: str = NAME) -> Iterator[None]:
    """Within, `model` computes attention by the function registered as `name`, and is in evaluation mode; afterwards as before."""
    before, training = model.config._attn_implementation, model.training
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise NotImplementedError(f"{type(model).__name__} doesn't compute attention through transformers' AttentionInterface")
    modes = [(module, module.training) for module in model.modules()] if training else []
    model.eval()
    try:
        yield
    finally:
        model.set_attn_implementation(before or "eager")
        for module, mode in modes:
            module.training = mode
