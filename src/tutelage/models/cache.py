"""Keys and values of rows that are being written, and attention over them, by torch.

Rows end in the same column: prompts stand flush right, so that every row's next token goes into one and the same column, a row's
unused columns all lie to its left, and the distance of two columns is the distance of two positions. A step is then one slice
written and one slice read; a sliding window is a shorter slice. A learnt prefix is a row's first columns, right before its prompt.

B rows, C columns, Q columns of this call, G distinct prompts, P tokens of a learnt prefix, H key heads, d head width, D width.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tutelage.models.attention.beside import HIDDEN, NOTHING, Beside, weights
from tutelage.models.attention.native import fits
from tutelage.models.decoding import PREFILL, Forward, Prompt
from tutelage.models.prefix import Learnt

BLOCK = 64
"""Columns by which a full cache grows."""
QUERIES = 256
"""Queries whose scores exist at the same time, where torch's own attention can't be used."""


class KeyCache:
    """keys[layer], values[layer]: [rows, H, columns, d], of which `rows` x `used` are in use; offset_B: each row's first column. `prefix`
    is put there while the first columns are written. `plain` becomes False when a layer's attention has something besides, or heads that
    our kernels don't take."""

    def __init__(self, offset_B: Tensor, room: int, prefix: Learnt | None = None) -> None:
        self.offset_B, self.prefix, self.plain = offset_B, prefix, True
        self.rows = len(offset_B)
        self.room = room
        self.used = 0 if prefix is None else prefix.tokens
        self.first = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self._seen: dict[int | None, tuple[int, Tensor | None]] = {}

    def advance(self, columns: int = 1) -> Tensor:
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
        if layer > len(self.keys):
            raise NotImplementedError(f"layer {len(self.keys)} has no attention, or none through the interface")
        if layer == len(self.keys):
            for kept, new in ((self.keys, key), (self.values, value)):
                kept.append(new.new_empty(self.rows, new.shape[1], self.room, new.shape[3]))
            for kept in (self.keys[layer], self.values[layer]):
                kept[:, :, : self.first] = 0
        out: list[Tensor] = []
        for kept, new in ((self.keys[layer], key), (self.values[layer], value)):
            kept[: self.rows, :, self.first : self.used] = new
            out.append(kept[: self.rows, :, : self.used])
        if self.prefix is not None:
            self._put(self.prefix.tokens, *self.prefix.layers[layer], *out)
        return out[0], out[1]

    def _put(self, tokens: int, key_PHd: Tensor, value_PHd: Tensor, keys: Tensor, values: Tensor) -> None:
        """The prefix, into every row's first columns; a windowed layer may know only the last of them, and sees no others."""
        column_P = torch.arange(tokens - len(key_PHd), tokens, device=self.offset_B.device)
        row_B = torch.arange(self.rows, device=self.offset_B.device)
        for kept, known in ((keys, key_PHd), (values, value_PHd)):
            kept[row_B[:, None], :, self.offset_B[:, None] + column_P] = known.to(kept.dtype)

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

    def keep(self, keep_B: Tensor) -> Tensor:
        """Drop rows: the last ones kept move into the holes. Returns which of the rows stand where now."""
        left = int(keep_B.sum())
        order_B = torch.arange(left, device=keep_B.device)
        hole_N = (~keep_B[:left]).nonzero()[:, 0]
        from_N = keep_B[left:].nonzero()[:, 0] + left
        order_B[hole_N] = from_N
        for kept in (*self.keys, *self.values):
            kept[hole_N, :, : self.used] = kept[from_N, :, : self.used]
        self.offset_B = self.offset_B[order_B]
        self.rows = left
        self._seen.clear()
        return order_B

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, beside: Beside = NOTHING) -> Tensor:
        """Keep k and v [B, H, Q, d] of this call; q [B, H * G, Q, d] sees what it may see: [B, Q, H * G, d]."""
        keys, values = self.write(layer, k, v)
        left, mask = self.seen(window)
        keys, values = keys[:, :, left:], values[:, :, left:]
        self.plain = self.plain and beside.nothing and fits(k.shape[-1]) and k.shape[-1] == v.shape[-1]
        if not beside.nothing:
            return _attended(q, keys, values, mask, scale, beside)
        rows, _, columns, width = q.shape
        if columns == 1:  # query heads of one key head stand side by side, so keys are never repeated
            packed = q.reshape(rows, keys.shape[1], -1, width)
            return scaled_dot_product_attention(packed, keys, values, mask, scale=scale).reshape(rows, 1, -1, v.shape[-1])
        group = q.shape[1] // keys.shape[1]
        keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
        return scaled_dot_product_attention(q, keys, values, mask, scale=scale).transpose(1, 2)


def _attended(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float, beside: Beside) -> Tensor:
    """[B, Q, H * G, d] with a cap on scores, or a sink; a few queries at a time, because their scores lie in memory."""
    rows, heads, _, width = values.shape
    split = q.view(rows, heads, -1, *q.shape[2:])  # query heads of one key head side by side
    seen = None if mask is None else mask[:, :, None]
    sink = None if beside.sink_H is None else beside.sink_H.view(heads, -1)
    parts: list[Tensor] = []
    for start in range(0, q.shape[2], QUERIES):
        chunk = slice(start, start + QUERIES)
        score = beside.capped(torch.matmul(split[..., chunk, :], keys[:, :, None].transpose(-1, -2)) * scale)
        score = score if seen is None else score.masked_fill(~seen[..., chunk, :], HIDDEN)
        parts.append(torch.matmul(weights([score], sink, values.dtype)[0], values[:, :, None]))
    return torch.cat(parts, -2).view(rows, -1, q.shape[2], width).transpose(1, 2)


def read(
    prompts: Sequence[Prompt], tokens: int, forward: Forward, device: torch.device, prefix: Learnt | None = None
) -> tuple[KeyCache, Tensor]:
    """A KeyCache of all rows: see `decoding`."""
    longest, known = max(map(len, prompts)), 0 if prefix is None else prefix.tokens
    offset_B = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
    cache = KeyCache(offset_B, known + longest + min(tokens, BLOCK))
    cache.used = known + longest
    copies = Counter(prompts)
    hidden: list[Tensor] = []
    row = 0
    for group in _groups(list(copies)):  # equal prompts stand side by side, so a group's rows do too
        alone, hidden_GD = _prefill(group, forward, device, prefix)
        prompt_N = torch.tensor([g for g, prompt in enumerate(group) for _ in range(copies[prompt])], device=device)
        cache.place(alone, row, prompt_N)
        hidden.append(hidden_GD[prompt_N])
        row += len(prompt_N)
    return cache, torch.cat(hidden)


def _prefill(prompts: Sequence[Prompt], forward: Forward, device: torch.device, prefix: Learnt | None) -> tuple[KeyCache, Tensor]:
    longest, known = max(map(len, prompts)), 0 if prefix is None else prefix.tokens
    ids_GP = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    cache = KeyCache(torch.tensor([longest - len(prompt) for prompt in prompts], device=device), known + longest, prefix)
    return cache, forward(ids_GP, cache.advance(longest), cache)[:, -1]


def _groups(prompts: Sequence[Prompt]) -> Iterator[list[Prompt]]:
    """Prompts, shortest first, in groups whose padded size stays within PREFILL."""
    group: list[Prompt] = []
    for prompt in prompts:
        if group and (len(group) + 1) * len(prompt) > PREFILL:
            yield group
            group = []
        group.append(prompt)
    yield group
