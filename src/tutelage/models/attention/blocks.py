"""Attention by torch's batched products: exact in every dtype, differentiable to any order, on any device.

A block's keys are those that any of its tokens sees: of the segments it touches and of their ancestors, up to the block's end. Blocks
with about equally many keys are computed together by two batched products under a mask, so no [T, T] mask exists, prompts' keys are never
projected again, other responses' keys are never looked at, and the products of a training have few shapes: kernels for a new shape cost
more than the product.

T tokens (padded), N blocks of the stream, B blocks of a bucket, Q queries of a block, K keys of a block, Y keys of all blocks, H heads,
d head width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding

from tutelage.models.attention.beside import Scoring, attended
from tutelage.models.attention.plan import Plan

KEYS = 64
"""A bucket's number of keys is a multiple of this: few shapes."""
PADDING = 1.5
"""A block joins a bucket while the bucket's keys stay below this multiple of those that are wanted,"""
SLACK = 32 * KEYS
"""or while they exceed that by fewer than this: another bucket would cost more."""


@dataclass(frozen=True)
class Bucket:
    """Blocks with about equally many keys: key_BK are places in the stream, seen_BQK says which of them a query sees."""

    block_B: Tensor
    query_BQ: Tensor
    key_BK: Tensor
    seen_BQK: Tensor

    def to(self, device: torch.device) -> "Bucket":
        return Bucket(*(x.to(device, non_blocking=True) for x in (self.block_B, self.query_BQ, self.key_BK, self.seen_BQK)))

    def within(self, window: int | None, position_T: Tensor) -> Tensor:
        """[B, Q, K] which keys a query sees when no key may lie `window` or more positions back."""
        if window is None:
            return self.seen_BQK
        return self.seen_BQK & (position_T[self.query_BQ][..., None] - position_T[self.key_BK][:, None] < window)


@dataclass(frozen=True)
class Buckets:
    """place_N: where each block's output stands in the buckets laid end to end."""

    buckets: tuple[Bucket, ...]
    place_N: Tensor
    key_Y: Tensor
    """All buckets' keys, laid end to end: one gather serves them all, so that one scatter gives the gradient back."""

    def to(self, device: torch.device) -> "Buckets":
        place_N, key_Y = (x.to(device, non_blocking=True) for x in (self.place_N, self.key_Y))
        return Buckets(tuple(bucket.to(device) for bucket in self.buckets), place_N, key_Y)


def buckets(plan: Plan) -> Buckets:
    Q, T = _block(plan.longest), len(plan.segment_T)
    keys = [_keys(range(at, at + Q), plan) for at in range(0, T, Q)]
    made = tuple(_bucket(members, keys, Q, plan) for members in _grouped(keys))
    place_N = torch.cat([bucket.block_B for bucket in made]).argsort()
    return Buckets(made, place_N, torch.cat([bucket.key_BK.flatten() for bucket in made]))


def _block(longest: int) -> int:
    """Queries of a block, where the longest path has `longest` tokens: long blocks copy fewer keys, short ones see fewer in vain."""
    return 64 if longest <= 512 else 128


def _keys(block: range, plan: Plan) -> list[int]:
    """The places that some token of a block sees, in order."""
    starts = plan.starts
    return [t for s in plan.segments(block) for t in range(starts[s], min(starts[s + 1], block.stop))]


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


def _bucket(members: Sequence[int], keys: Sequence[Sequence[int]], Q: int, plan: Plan) -> Bucket:
    K = _width(max(len(keys[n]) for n in members))
    block_B = torch.tensor(members)
    query_BQ = block_B[:, None] * Q + torch.arange(Q)
    key_BK = torch.tensor([[*keys[n], *[0] * (K - len(keys[n]))] for n in members])  # past its own keys a block sees nothing
    filled_BK = torch.arange(K) < torch.tensor([len(keys[n]) for n in members])[:, None]
    may_BQK = plan.above_SS[plan.segment_T[query_BQ][..., None], plan.segment_T[key_BK][:, None]]
    return Bucket(block_B, query_BQ, key_BK, may_BQK & (key_BK[:, None] <= query_BQ[..., None]) & filled_BK[:, None])


def attend(q_THd: Tensor, k_THd: Tensor, v_THd: Tensor, how: Scoring) -> Tensor:
    """[T, H, d]"""
    plan = how.plan
    made: Buckets = plan.kept(("buckets", q_THd.device), lambda: buckets(plan).to(q_THd.device))
    position_T = plan.position_on(q_THd.device)
    group = q_THd.shape[1] // k_THd.shape[1]
    q_NQHd = q_THd.unflatten(0, (len(made.place_N), -1))
    sizes = [bucket.key_BK.numel() for bucket in made.buckets]
    keys, values = (_gathered(x, made.key_Y).split(sizes) for x in (k_THd, v_THd))
    out: list[Tensor] = []
    for bucket, k_YHd, v_YHd in zip(made.buckets, keys, values, strict=True):
        q_BHQd = (q_NQHd if len(made.buckets) == 1 else q_NQHd[bucket.block_B]).transpose(1, 2)
        k_BHKd, v_BHKd = (x.unflatten(0, bucket.key_BK.shape).transpose(1, 2).repeat_interleave(group, 1) for x in (k_YHd, v_YHd))
        seen, position_B1Q = bucket.within(how.window, position_T)[:, None], position_T[bucket.query_BQ][:, None]
        out.append(attended(q_BHQd, k_BHKd, v_BHKd, seen, position_B1Q, how).transpose(1, 2))
    o_NQHd = out[0] if len(out) == 1 else torch.cat(out)[made.place_N]
    return o_NQHd.flatten(0, 1)


def _gathered(x_THd: Tensor, places: Tensor) -> Tensor:
    """x_THd[places]. As an embedding, because its gradient is one parallel scatter."""
    return embedding(places, x_THd.flatten(1)).unflatten(1, x_THd.shape[1:])
