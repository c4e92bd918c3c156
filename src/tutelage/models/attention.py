"""Attention over packed prompt trees, exact for any transformers model that goes through `AttentionInterface`.

    o_t = softmax( q_t . k_A / sqrt(d) ) v_A,    A = the tokens of t's own segment up to t, and all of its ancestors

The stream is divided into equally long blocks of queries. A block's keys are those that any of its tokens sees: of the segments it
touches and of their ancestors, up to the block's end. Blocks with about equally many keys are computed together by two batched products
under a mask, so no [T, T] mask exists, prompts' keys are never projected again, other responses' keys are never looked at, and the
products of a training have few shapes: kernels for a new shape cost more than the product.

The plan is a keyword of the model's `forward` (`tree=plan`), which transformers hands through to the attention function.
`dense` is the oracle: the same attention written as one masked [T, T] product; the tests hold the two equal.

T tokens (padded), S segments, N blocks of the stream, B blocks of a bucket, Q queries of a block, K keys of a block, H heads, d head width.
"""

from collections.abc import Iterator, Mapping, Sequence
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
KEYS = 64
"""A bucket's number of keys is a multiple of this, for the same reason."""
PADDING = 1.5
"""A block joins a bucket while the bucket's keys stay below this multiple of those that are wanted,"""
SLACK = 32 * KEYS
"""or while they exceed that by fewer than this: another bucket would cost more."""
TOLD = {"position_ids", "use_cache", "cache_position", "output_attentions", "output_hidden_states", "is_causal"}
"""What models tell attention beside its arguments and we need not know. Anything else (attention sinks, a soft cap) is refused."""


@dataclass(frozen=True)
class Bucket:
    """Blocks with about equally many keys: key_BK are places in the stream, seen_BQK says which of them a query sees."""

    block_B: Tensor
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
    """What attention needs to know of a stream. place_N: where each block's output stands in the buckets laid end to end."""

    buckets: tuple[Bucket, ...]
    place_N: Tensor
    key_Y: Tensor
    """All buckets' keys, laid end to end: one gather serves them all, so that one scatter gives the gradient back."""
    position_T: Tensor
    ancestors_TT: Tensor | None = field(default=None, repr=False)
    """Only for the dense oracle: token i may see token j."""


def plan(batch: PackedBatch, dense: bool = False) -> Plan:
    """The plan of a stream; made once for all layers and roles."""
    starts, parents = batch.start_S.tolist(), batch.parent_S.tolist()
    T = padded(starts[-1])
    lineages = _lineages(parents)
    segment_T = pad(batch.segment_T, (0, T - starts[-1]), value=len(parents))  # padding is a segment that sees nothing
    above_SS = torch.zeros(len(parents) + 1, len(parents) + 1, dtype=torch.bool)
    for s, lineage in enumerate(lineages):
        above_SS[s, list(lineage)] = True
    Q = _block(max(sum(starts[a + 1] - starts[a] for a in lineage) for lineage in lineages))
    keys = [_keys(range(at, at + Q), segment_T, lineages, starts) for at in range(0, T, Q)]
    buckets = tuple(_bucket(members, keys, Q, segment_T, above_SS) for members in _grouped(keys))
    place_N = torch.cat([bucket.block_B for bucket in buckets]).argsort()
    key_Y = torch.cat([bucket.key_BK.flatten() for bucket in buckets])
    position_T = pad(batch.position_T, (0, T - starts[-1]))
    return Plan(buckets, place_N, key_Y, position_T, _ancestors(lineages, starts) if dense else None)


def padded(tokens: int) -> int:
    """The length of a stream, or of any rows that are multiplied, with its padding."""
    return -(-tokens // ROUND) * ROUND


def _block(longest: int) -> int:
    """Queries of a block, where the longest path has `longest` tokens: long blocks copy fewer keys, short ones see fewer in vain."""
    return 64 if longest <= 512 else 128


def _lineages(parents: Sequence[int]) -> list[tuple[int, ...]]:
    """Each segment's ancestors, the eldest first, and itself."""
    lineages: list[tuple[int, ...]] = []
    for s, parent in enumerate(parents):
        lineages.append((*lineages[parent], s) if parent >= 0 else (s,))
    return lineages


def _keys(block: range, segment_T: Tensor, lineages: Sequence[tuple[int, ...]], starts: Sequence[int]) -> list[int]:
    """The places that some token of a block sees, in order."""
    first, last = int(segment_T[block[0]]), int(segment_T[block[-1]])
    seen = sorted({a for lineage in lineages[first : last + 1] for a in lineage})
    return [t for s in seen for t in range(starts[s], min(starts[s + 1], block.stop))]


def _grouped(keys: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Blocks with about equally many keys share a bucket, in the stream's order: where one bucket holds all, nothing is moved."""
    group: list[int] = []
    wanted = 0
    for n in sorted(range(len(keys)), key=lambda n: len(keys[n])):
        if group and _width(len(keys[n])) * (len(group) + 1) > PADDING * (wanted + len(keys[n])) + SLACK:
            yield sorted(group)
            group, wanted = [], 0
        group.append(n)
        wanted += len(keys[n])
    yield sorted(group)


def _width(keys: int) -> int:
    return max(1, -(-keys // KEYS)) * KEYS


def _bucket(members: Sequence[int], keys: Sequence[Sequence[int]], Q: int, segment_T: Tensor, above_SS: Tensor) -> Bucket:
    K = _width(max(len(keys[n]) for n in members))
    block_B = torch.tensor(members)
    query_BQ = block_B[:, None] * Q + torch.arange(Q)
    key_BK = torch.tensor([[*keys[n], *[0] * (K - len(keys[n]))] for n in members])  # past its own keys a block sees nothing
    filled_BK = torch.arange(K) < torch.tensor([len(keys[n]) for n in members])[:, None]
    seen_BQK = above_SS[segment_T[query_BQ][..., None], segment_T[key_BK][:, None]] & (key_BK[:, None] <= query_BQ[..., None])
    return Bucket(block_B, query_BQ, key_BK, seen_BQK & filled_BK[:, None])


def _ancestors(lineages: Sequence[tuple[int, ...]], starts: Sequence[int]) -> Tensor:
    seen_TT = torch.eye(padded(starts[-1]), dtype=torch.bool)  # a padding token sees itself
    for s, lineage in enumerate(lineages):
        for a in lineage:
            seen_TT[starts[s] : starts[s + 1], starts[a] : starts[a + 1]] = True
    return seen_TT.tril()


def strange(told: Mapping[str, object]) -> list[str]:
    """What a model tells attention that would have to be obeyed."""
    return [name for name, value in told.items() if name not in TOLD and value is not None]


def _refuse(module: torch.nn.Module, told: Mapping[str, object], dropout: float, tree: Plan | None) -> Plan:
    if tree is None:
        raise ValueError("this model is read through Policy.read, which hands the stream's plan to attention")
    if strange(told):
        raise NotImplementedError(f"{type(module).__name__}: attention over packed trees can't give {', '.join(strange(told))} yet")
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
    sliding_window: int | None = None,
    **told: object,
) -> tuple[Tensor, None]:
    """transformers' attention signature: [1, H, T, d] in, [1, T, H, d] out."""
    tree = _refuse(module, told, dropout, tree)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast the rotary product comes back in float32
    q_THd, k_THd, v_THd = (x[0].transpose(0, 1) for x in (query, key, value))
    group = q_THd.shape[1] // k_THd.shape[1]
    q_NQHd = q_THd.unflatten(0, (len(tree.place_N), -1))
    sizes = [bucket.key_BK.numel() for bucket in tree.buckets]
    keys, values = (_gathered(x, tree.key_Y).split(sizes) for x in (k_THd, v_THd))
    out: list[Tensor] = []
    for bucket, k_YHd, v_YHd in zip(tree.buckets, keys, values, strict=True):
        q_BHQd = (q_NQHd if len(tree.buckets) == 1 else q_NQHd[bucket.block_B]).transpose(1, 2)
        k_BHKd, v_BHKd = (x.unflatten(0, bucket.key_BK.shape).transpose(1, 2).repeat_interleave(group, 1) for x in (k_YHd, v_YHd))
        score = torch.matmul(q_BHQd, k_BHKd.transpose(2, 3)) * scale
        weight = _softmax(score, bucket.within(sliding_window, tree.position_T)[:, None])
        out.append(torch.matmul(weight.to(v_BHKd.dtype), v_BHKd).transpose(1, 2))
    o_NQHd = out[0] if len(out) == 1 else torch.cat(out)[tree.place_N]
    return o_NQHd.flatten(0, 1)[None], None


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
    sliding_window: int | None = None,
    **told: object,
) -> tuple[Tensor, None]:
    """The oracle: one masked product over the whole stream. Quadratic in T; for tests."""
    tree = _refuse(module, told, dropout, tree)
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
