"""Keys and values of rows that are being written, by our kernels (kernels/decode.c): bfloat16 on a processor that multiplies it.

All distinct prompts are read as one packed stream, without padding, and kept once: the rows of one prompt share them. What a row writes
lies in its slot, which it keeps while others end. So neither prompts nor rows are ever copied.

B rows, N tokens, T tokens of the stream, H key heads, d head width, D width.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel

from tutelage.data.batch import PackedBatch, filled, pack
from tutelage.data.tree import Tree
from tutelage.models.attention import Plan, blocks, inputs, plan
from tutelage.models.attention.beside import NOTHING, Beside, Scoring
from tutelage.models.attention.native import attend
from tutelage.models.decoding import PREFILL, Forward, Prompt
from tutelage.models.kernels.build import address, library, native
from tutelage.models.precision import computes
from tutelage.models.prefix import Learnt

KEYS, BLOCK = 16, 64
"""Columns of a block of keys, as decode.c lays them; columns by which full slots grow."""


def takes(model: PreTrainedModel) -> bool:
    """Can our kernels decode for this model, where its attention is plain (`speaking.Voice`)?"""
    return library() is not None and model.device.type == "cpu" and computes(model) == torch.bfloat16


class KeptCall(ctypes.Structure):
    """As decode.c knows Kept."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("slots", "heads", "room", "width")),
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
    )


class RowsCall(ctypes.Structure):
    """As decode.c knows Rows: what the rows of a step have in common."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "heads", "used", "longest")),
        ("scale", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("slot_B", "prompt_first", "prompt_last", "own_first")),
    )


class Kept:
    """Keys and values of one layer: `slots` x H x `room` columns. keys: blocks of KEYS columns, two numbers of each key side by side."""

    def __init__(self, slots: int, room: int, heads: int, width: int) -> None:
        self.keys = torch.empty(slots, heads, room // KEYS, width // 2 * KEYS, dtype=torch.int32)
        self.values = torch.empty(slots, heads, room, width, dtype=torch.bfloat16)

    def grown(self, room: int) -> "Kept":
        """The same with more columns."""
        slots, heads, old, width = self.values.shape
        new = Kept(slots, room, heads, width)
        new.keys[:, :, : old // KEYS], new.values[:, :, :old] = self.keys, self.values
        return new

    def write(self, k_NHd: Tensor, v_NHd: Tensor, column_N: Tensor) -> None:
        """Into the columns of slot 0."""
        k_NHd, v_NHd = _laid(k_NHd), _laid(v_NHd)
        native().keep(ctypes.byref(self.call()), *_rows(k_NHd), *_rows(v_NHd), address(column_N), ctypes.c_int64(len(column_N)))

    def call(self) -> KeptCall:
        return KeptCall(*self.values.shape, self.keys.data_ptr(), self.values.data_ptr())


@dataclass(frozen=True)
class Sight:
    """For each live row: the first column of its prompt that it sees, the one after its last, and the first of its own."""

    first_B: Tensor
    last_B: Tensor
    own_B: Tensor


class SlotCache:
    """prompts[layer]: all prompts in one slot; own[layer]: a slot for each row that began. slot_B, start_B, length_B: each live row's slot,
    and its prompt's first column and length."""

    def __init__(self, start_B: Tensor, length_B: Tensor, tokens: int, columns: int) -> None:
        self.slot_B, self.start_B, self.length_B = torch.arange(len(start_B)), start_B, length_B
        self.slots, self.columns, self.longest = len(start_B), columns, int(length_B.max())
        self.room = _blocks(min(tokens, BLOCK)) * KEYS
        self.used = 0
        self.prompts: list[Kept] = []
        self.own: list[Kept] = []
        self.reading: _Reading | None = None
        self._seen: dict[int | None, Sight] = {}

    def advance(self) -> Tensor:
        self.used += 1
        self._seen = {window: sight for window, sight in self._seen.items() if window is None}
        if self.used > self.room:
            self.room += BLOCK
            self.own = [kept.grown(self.room) for kept in self.own]
        return (self.length_B + self.used - 1)[:, None]

    def keep(self, keep_B: Tensor) -> Tensor:
        order_B = keep_B.nonzero()[:, 0]
        self.slot_B, self.start_B, self.length_B = (x[order_B] for x in (self.slot_B, self.start_B, self.length_B))
        self._seen.clear()
        return order_B

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, beside: Beside = NOTHING) -> Tensor:
        assert beside.nothing, "the sampler takes a KeyCache for these"
        if layer == len(self.own):
            heads, width = k.shape[1], k.shape[-1]
            self.prompts.append(Kept(1, self.columns, heads, width))
            self.own.append(Kept(self.slots, self.room, heads, width))
        if self.reading is not None:
            return self.reading.attend(layer, self.prompts[layer], q, k, v, scale, window)
        q_BHd, k_BHd, v_BHd = (_laid(x[:, :, 0]) for x in (q, k, v))
        out_BHd = torch.empty_like(q_BHd, memory_format=torch.contiguous_format)
        kept = (ctypes.byref(each[layer].call()) for each in (self.prompts, self.own))
        rows = self.rows(q_BHd.shape[1], scale, self.sight(window))
        native().decode_attention(*kept, ctypes.byref(rows), *_rows(q_BHd), *_rows(k_BHd), *_rows(v_BHd), address(out_BHd))
        return out_BHd[:, None]

    def rows(self, heads: int, scale: float, sight: Sight) -> RowsCall:
        """Of this step; the caller holds on to `sight`."""
        seen = (x.data_ptr() for x in (sight.first_B, sight.last_B, sight.own_B))
        return RowsCall(len(self.slot_B), heads, self.used, self.longest, scale, self.slot_B.data_ptr(), *seen)

    def sight(self, window: int | None) -> Sight:
        """What each row sees in this step."""
        if window not in self._seen:
            hidden_B = torch.zeros_like(self.length_B) if window is None else (self.length_B + self.used - window).clamp(min=0)
            end_B = self.start_B + self.length_B
            self._seen[window] = Sight(self.start_B + hidden_B.minimum(self.length_B), end_B, (hidden_B - self.length_B).clamp(min=0))
        return self._seen[window]


class _Reading:
    """While prompts are read: a stream's plan, and the column of each of its tokens. A learnt prefix fills the first columns of each."""

    def __init__(self, batch: PackedBatch, first: int, prefix: Learnt | None) -> None:
        self.plan: Plan = plan(batch)
        self.prefix, known = prefix, _length(prefix)
        starts, ends = batch.start_S[:-1], batch.start_S[1:]
        blocks = (known + ends - starts + KEYS - 1) // KEYS
        self.start_S = first + (blocks.cumsum(0) - blocks) * KEYS
        self.column_T = self.start_S[batch.segment_T] + known + batch.position_T

    def attend(self, layer: int, kept: Kept, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        q_THd, k_THd, v_THd = (x[0].transpose(0, 1) for x in (q, k, v))
        kept.write(k_THd, v_THd, self.column_T)  # rows beyond the stream are padding
        if self.prefix is None:
            return attend(q_THd, k_THd, v_THd, Scoring(self.plan, scale, window))[None]
        known = self.prefix.layers[layer]
        self._put(kept, *(x_PHd.to(q.dtype) for x_PHd in known))
        return blocks.attend(q_THd, k_THd, v_THd, Scoring(self.plan, scale, window, Beside(prefix=known)))[None]

    def _put(self, kept: Kept, key_PHd: Tensor, value_PHd: Tensor) -> None:
        """The prefix, before every prompt; a windowed layer may know only the last of it, and sees nothing of the rest."""
        missing = (0, 0, 0, 0, _length(self.prefix) - len(key_PHd), 0)
        column_SP = self.start_S[:, None] + torch.arange(_length(self.prefix))
        k_NHd, v_NHd = (pad(x_PHd, missing).repeat(len(self.start_S), 1, 1) for x_PHd in (key_PHd, value_PHd))
        kept.write(k_NHd, v_NHd, column_SP.flatten())


def read(prompts: Sequence[Prompt], tokens: int, forward: Forward, prefix: Learnt | None = None) -> tuple[SlotCache, Tensor]:
    """A SlotCache of all rows: see `decoding`."""
    distinct, known = list(dict.fromkeys(prompts)), _length(prefix)
    place = {prompt: n for n, prompt in enumerate(distinct)}
    row_B = torch.tensor([place[prompt] for prompt in prompts])
    length_G = torch.tensor([known + len(prompt) for prompt in distinct])
    cache = SlotCache(torch.zeros_like(row_B), length_G[row_B], tokens, sum(map(_blocks, length_G.tolist())) * KEYS)
    starts, hidden = [torch.zeros(0, dtype=torch.long)], list[Tensor]()
    first = 0
    for stream in filled([Tree((), (prompt,)) for prompt in distinct], PREFILL):
        batch = pack(stream)
        cache.reading = _Reading(batch, first, prefix)
        ids_1T, position_1T = inputs(batch)
        hidden.append(forward(ids_1T, position_1T + known, cache)[0, batch.last_R])
        starts.append(cache.reading.start_S)
        first += sum(_blocks(known + tree.length) for tree in stream) * KEYS
    cache.reading = None
    cache.start_B = torch.cat(starts)[row_B]
    return cache, torch.cat(hidden)[row_B]


def _length(prefix: Learnt | None) -> int:
    return 0 if prefix is None else prefix.tokens


def _blocks(columns: int) -> int:
    return -(-columns // KEYS)


def _laid(x_NHd: Tensor) -> Tensor:
    """A token's heads one after another, as the kernels read them."""
    width = x_NHd.shape[-1]
    return x_NHd if x_NHd.stride()[1:] == (width, 1) else x_NHd.contiguous()


def _rows(x_NHd: Tensor) -> tuple[ctypes.c_void_p, ctypes.c_int64]:
    return address(x_NHd), ctypes.c_int64(x_NHd.stride(0))
