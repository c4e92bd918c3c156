"""Attention over packed prompt trees, exact for any transformers model that goes through `AttentionInterface`.

    o_t = softmax( q_t . k_A / sqrt(d) ) v_A,    A = the tokens of t's own segment up to t, and all of its ancestors

Every segment (a prompt, a response) is one block of queries against one block of keys: its ancestors' tokens and its own. Blocks
of similar size are padded together and computed by two batched products, so the cost is that of the true blocks plus a little
padding, and no [T, T] mask exists. Prompts' keys are gathered for each of their responses but never projected again.

The plan is a keyword of the model's `forward` (`tree=plan`), which transformers hands through to the attention function.
`dense` is the oracle: the same attention written as one masked [T, T] product; the tests hold the two equal.

T tokens, S segments, B blocks of a bucket, Q queries of a block, K keys of a block, H heads, d head width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import embedding, pad
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tutelage.data.batch import PackedBatch

BLOCKS, DENSE = "tutelage_tree", "tutelage_tree_dense"
ROUND = 128
"""Streams are padded to a multiple of this many tokens: matrix products of few shapes find their kernels made already."""
PADDING = 1.25
"""A block joins a bucket while the bucket's padded area stays below this multiple of its true area."""


@dataclass(frozen=True)
class Bucket:
    """Blocks of similar size: query_BQ and key_BK are places in the stream, seen_BQK says which keys a query sees."""

    query_BQ: Tensor
    key_BK: Tensor
    seen_BQK: Tensor

    def within(self, window: int | None, position_T: Tensor) -> Tensor:
        """[B, Q, K] which keys a query sees when no key may lie `window` or more positions back."""
        if window is None:
            return self.seen_BQK
        return self.seen_BQK & (position_T[self.query_BQ][..., None] - position_T[self.key_BK][:, None] < window)


@dataclass(frozen=True)
class Plan:
    """What attention needs to know of a stream. place_T: where each token's output stands in the buckets laid end to end."""

    buckets: tuple[Bucket, ...]
    query_X: Tensor
    key_Y: Tensor
    """All buckets' places, laid end to end: one gather serves them all, so that one scatter gives the gradient back."""
    place_T: Tensor
    position_T: Tensor
    ancestors_TT: Tensor | None = field(default=None, repr=False)
    """Only for the dense oracle: token i may see token j."""


def plan(batch: PackedBatch, dense: bool = False) -> Plan:
    """The plan of a stream; made once for all layers and roles."""
    starts = batch.start_S.tolist()
    parents = batch.parent_S.tolist()
    spans = [_path(s, starts, parents) for s in range(len(parents))]
    order = sorted(range(len(spans)), key=lambda s: (len(spans[s]), starts[s + 1] - starts[s]))
    buckets: list[Bucket] = []
    place_T = torch.zeros(padded(starts[-1]), dtype=torch.long)  # a padding token takes anything: it is never read
    laid = 0
    for members in _grouped(order, spans, starts):
        lengths = [starts[s + 1] - starts[s] for s in members]
        bucket = _bucket([spans[s] for s in members], lengths)
        for row, (s, length) in enumerate(zip(members, lengths, strict=True)):
            place_T[starts[s] : starts[s + 1]] = torch.arange(length) + laid + row * bucket.query_BQ.shape[1]
        laid += bucket.query_BQ.numel()
        buckets.append(bucket)
    query_X, key_Y = (torch.cat([x.flatten() for x in parts]) for parts in zip(*((b.query_BQ, b.key_BK) for b in buckets), strict=True))
    return Plan(tuple(buckets), query_X, key_Y, place_T, batch.position_T, _ancestors(spans, starts) if dense else None)


def padded(tokens: int) -> int:
    """The length of a stream with its padding."""
    return -(-tokens // ROUND) * ROUND


def _path(segment: int, starts: Sequence[int], parents: Sequence[int]) -> list[int]:
    """The tokens a segment's last token sees, in order: its ancestors' and its own."""
    path: list[int] = []
    while segment >= 0:
        path = list(range(starts[segment], starts[segment + 1])) + path
        segment = parents[segment]
    return path


def _grouped(order: Sequence[int], spans: Sequence[list[int]], starts: Sequence[int]) -> list[list[int]]:
    """Neighbours in size share a bucket while padding stays small."""
    groups: list[list[int]] = []
    true = queries = keys = 0
    for s in order:
        q, k = starts[s + 1] - starts[s], len(spans[s])
        if groups and max(queries, q) * max(keys, k) * (len(groups[-1]) + 1) <= PADDING * (true + q * k) + 4096:
            groups[-1].append(s)
            true, queries, keys = true + q * k, max(queries, q), max(keys, k)
        else:
            groups.append([s])
            true, queries, keys = q * k, q, k
    return groups


def _bucket(paths: Sequence[list[int]], lengths: Sequence[int]) -> Bucket:
    B, Q, K = len(paths), max(lengths), max(map(len, paths))
    query_BQ = torch.zeros(B, Q, dtype=torch.long)
    key_BK = torch.zeros(B, K, dtype=torch.long)
    last_BQ = torch.zeros(B, Q, dtype=torch.long)  # a padded query sees key 0 alone, so its softmax is finite
    for row, (path, length) in enumerate(zip(paths, lengths, strict=True)):
        key_BK[row, : len(path)] = torch.tensor(path)
        query_BQ[row, :length] = torch.tensor(path[-length:])
        last_BQ[row, :length] = torch.arange(len(path) - length, len(path))
    return Bucket(query_BQ, key_BK, torch.arange(K) <= last_BQ[..., None])


def _ancestors(spans: Sequence[list[int]], starts: Sequence[int]) -> Tensor:
    seen_TT = torch.eye(padded(starts[-1]), dtype=torch.bool)  # a padding token sees itself
    for s, path in enumerate(spans):
        own = starts[s + 1] - starts[s]
        for i, t in enumerate(range(starts[s], starts[s + 1])):
            seen_TT[t, path[: len(path) - own + i + 1]] = True
    return seen_TT


def _refuse(softcap: float | None, dropout: float, tree: Plan | None) -> Plan:
    if tree is None:
        raise ValueError("this model is read through Policy.read, which hands the stream's plan to attention")
    if softcap is not None:
        raise NotImplementedError("attention soft-capping is not supported on packed trees yet")
    if dropout:
        raise ValueError("attention dropout must be 0: a dropped weight would differ between the policy's two readings of a token")
    return tree


def blocks_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    tree: Plan | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """transformers' attention signature: [1, H, T, d] in, [1, T, H, d] out. `**_` takes what other backends are told."""
    tree = _refuse(softcap, dropout, tree)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast the rotary product comes back in float32
    q_THd, k_THd, v_THd = (x[0].transpose(0, 1) for x in (query, key, value))
    group = q_THd.shape[1] // k_THd.shape[1]
    queries = _gathered(q_THd, tree.query_X).split([bucket.query_BQ.numel() for bucket in tree.buckets])
    sizes = [bucket.key_BK.numel() for bucket in tree.buckets]
    keys, values = (_gathered(x, tree.key_Y).split(sizes) for x in (k_THd, v_THd))
    out: list[Tensor] = []
    for bucket, q_XHd, k_YHd, v_YHd in zip(tree.buckets, queries, keys, values, strict=True):
        q_BHQd = q_XHd.unflatten(0, bucket.query_BQ.shape).transpose(1, 2)
        k_BHKd, v_BHKd = (x.unflatten(0, bucket.key_BK.shape).transpose(1, 2).repeat_interleave(group, 1) for x in (k_YHd, v_YHd))
        score = torch.matmul(q_BHQd, k_BHKd.transpose(2, 3)) * scale
        weight = _softmax(score, bucket.within(sliding_window, tree.position_T)[:, None])
        out.append(torch.matmul(weight.to(v_BHKd.dtype), v_BHKd).transpose(1, 2).flatten(0, 1))
    return _gathered(torch.cat(out), tree.place_T)[None], None


def _gathered(x_THd: Tensor, places: Tensor) -> Tensor:
    """x_THd[places]. As an embedding, because its gradient is one parallel scatter."""
    return embedding(places, x_THd.flatten(1)).unflatten(1, x_THd.shape[1:])


def _softmax(score: Tensor, seen: Tensor) -> Tensor:
    wide = score if score.dtype == torch.float64 else score.float()
    # A padded query of a windowed layer may see no key at all; its row is never read, and -1e30 keeps it finite.
    return wide.masked_fill(~seen, -1e30).softmax(-1)


def dense_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    tree: Plan | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """The oracle: one masked product over the whole stream. Quadratic in T; for tests."""
    tree = _refuse(softcap, dropout, tree)
    seen_TT = tree.ancestors_TT
    if seen_TT is None:
        raise ValueError("the dense oracle needs plan(batch, dense=True)")
    if sliding_window is not None:
        near_TT = tree.position_T[:, None] - tree.position_T[None, :] < sliding_window
        seen_TT = seen_TT & pad(near_TT, (0, len(seen_TT) - len(near_TT)) * 2, value=True)
    group = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    score = torch.matmul(query.to(value.dtype), key.to(value.dtype).transpose(2, 3)) * scale
    weight = _softmax(score, seen_TT[None, None])
    return torch.matmul(weight.to(value.dtype), value).transpose(1, 2), None


def no_mask(*_: object, **__: object) -> None:
    """Models build no mask of their own: the plan holds the whole structure."""


for _name, _function in ((BLOCKS, blocks_attention), (DENSE, dense_attention)):
    AttentionInterface.register(_name, _function)
    AttentionMaskInterface.register(_name, no_mask)
