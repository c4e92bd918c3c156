"""Attention by FlexAttention (Dong et al., 2412.05496), which torch compiles into one kernel each way: for GPUs.

Each key is seen by one run of queries: from its own place to the end of its segment's last descendant, because a stream is laid with
every segment's descendants right behind it. So who sees whom is two numbers a key, `first` and `end`, and blocks of 128 x 128 that nobody
sees, or everybody, are known without looking at their pairs. A prefix is further keys that all queries see; a sliding window counts
positions on the path; a sink is one more column of the softmax,

    o = sum_j exp(s_j) v_j / ( sum_j exp(s_j) + exp(sink) ) = softmax(s) v * sigmoid( lse - sink )

T tokens (padded), K keys (the stream's, the prefix's, padding), N blocks of queries, B blocks of keys, H heads, d head width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch._dynamo
from torch import Tensor
from torch.nn.attention import flex_attention
from torch.nn.functional import pad

from tutelage.models.attention.beside import Scoring
from tutelage.models.attention.plan import Plan
from tutelage.models.device import compiles

BLOCK, NARROWEST, WIDEST = 128, 16, 256
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
LSE: dict[str, Any] = {"return_aux": flex_attention.AuxRequest(lse=True)} if hasattr(flex_attention, "AuxRequest") else {"return_lse": True}
"""Asks for the softmax's denominator too; torch 2.6 knows only the latter, torch 2.13 announces its end."""
RECOMPILED = 64
"""Kernels of one process: with and without gradient, for each window, cap, number of heads and kind of network."""


@dataclass(frozen=True)
class Sight:
    """Query i sees key j where first_K[j] <= i < end_K[j] and, in a window, position_T[i] - place_K[j] < window."""

    first_K: Tensor
    end_K: Tensor
    place_K: Tensor
    position_T: Tensor

    def to(self, device: torch.device) -> "Sight":
        return Sight(*(x.to(device, non_blocking=True) for x in (self.first_K, self.end_K, self.place_K, self.position_T)))


def takes(q_THd: Tensor, how: Scoring) -> bool:
    """Can the compiled kernel compute this?"""
    fits = q_THd.device.type == "cuda" and q_THd.dtype in DTYPES and NARROWEST <= q_THd.shape[-1] <= WIDEST
    return fits and how.plan.nested and compiles()


def sight(plan: Plan, prefix: int = 0) -> Sight:
    """Of a stream, and of a prefix of so many keys behind it."""
    T, more = len(plan.segment_T), -(-prefix // BLOCK) * BLOCK
    # What pads a stream sees itself, so that no query is without a key; what pads the prefix nobody sees.
    first_K = pad(torch.arange(T), (0, more))
    end_K = torch.cat([plan.ends, torch.full((prefix,), T), torch.zeros(more - prefix, dtype=torch.long)])
    place_K = torch.cat([plan.position_T, torch.arange(-prefix, more - prefix)])
    return Sight(first_K, end_K, place_K, plan.position_T)


def blocks(seen: Sight, window: int | None) -> tuple[Tensor, Tensor]:
    """([N, B] some query may see some key, every query sees every key). Of a window's pairs more may be named than there are."""
    position_NQ = seen.position_T.unflatten(0, (-1, BLOCK))
    first_N1 = torch.arange(0, len(seen.position_T), BLOCK, device=seen.position_T.device)[:, None]
    some_NK = (seen.first_K < first_N1 + BLOCK) & (seen.end_K > first_N1)
    every_NK = (seen.first_K <= first_N1) & (seen.end_K >= first_N1 + BLOCK)
    if window is not None:
        some_NK &= position_NQ.amin(1, keepdim=True) - seen.place_K < window
        every_NK &= position_NQ.amax(1, keepdim=True) - seen.place_K < window
    return some_NK.unflatten(1, (-1, BLOCK)).any(2), every_NK.unflatten(1, (-1, BLOCK)).all(2)


def mask(seen: Sight, window: int | None) -> flex_attention.BlockMask:
    """As FlexAttention wants it."""
    first_K, end_K, place_K, position_T = seen.first_K, seen.end_K, seen.place_K, seen.position_T

    def sees(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (first_K[j] <= i) & (i < end_K[j])

    def near(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return sees(batch, head, i, j) & (position_T[i] < place_K[j] + (window or 0))

    some_NB, every_NB = blocks(seen, window)
    some, every = _listed(some_NB & ~every_NB), _listed(every_NB)
    return flex_attention.BlockMask.from_kv_blocks(*some, *every, BLOCK_SIZE=BLOCK, mask_mod=sees if window is None else near)


def _listed(chosen_NB: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of keys each block of queries has, and which they are, first in its row."""
    order_NB = chosen_NB.int().argsort(dim=1, descending=True, stable=True)
    return chosen_NB.sum(1).int()[None, None], order_NB.int()[None, None]


def attend(q_THd: Tensor, k_THd: Tensor, v_THd: Tensor, how: Scoring) -> Tensor:
    """[T, H, d]"""
    plan, window, device = how.plan, how.window, q_THd.device
    prefix = 0 if how.beside.prefix is None else len(how.beside.prefix[0])
    seen: Sight = plan.kept(("sight", prefix, device), lambda: sight(plan, prefix).to(device))
    block_mask = plan.kept(("mask", prefix, window, device), lambda: mask(seen, window))
    if how.beside.prefix is not None:
        more = len(seen.first_K) - len(q_THd) - prefix
        k_THd, v_THd = (torch.cat([x, pad(own.to(x.dtype), (0, 0, 0, 0, 0, more))]) for x, own in zip((k_THd, v_THd), how.beside.prefix))
    q_1HTd, k_1HKd, v_1HKd = (x.transpose(0, 1)[None] for x in (q_THd, k_THd, v_THd))
    grouped, capped = q_THd.shape[1] != k_THd.shape[1], None if how.beside.cap is None else _capped(how.beside.cap)
    given = (q_1HTd, k_1HKd, v_1HKd, capped, block_mask, how.scale, grouped)
    out_1HTd = kernel()(*given) if how.beside.sink_H is None else _beside_sink(how.beside.sink_H, *given)
    return out_1HTd[0].transpose(0, 1)


def _beside_sink(sink_H: Tensor, *given: Any) -> Tensor:
    out_1HTd, told = kernel()(*given, **LSE)
    lse_1HT = told if isinstance(told, Tensor) else told.lse
    share_1HT = torch.sigmoid(lse_1HT - sink_H.to(lse_1HT)[:, None])
    return out_1HTd * share_1HT[..., None].to(out_1HTd.dtype)


@lru_cache
def _capped(cap: float) -> Callable[..., Tensor]:
    def capped(score: Tensor, batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return torch.tanh(score / cap) * cap

    return capped


@lru_cache(maxsize=1)
def kernel() -> Callable[..., Any]:
    """torch's, compiled; where it can't be, that is an error: uncompiled it would make all scores of a stream."""
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, RECOMPILED)  # the name that torch 2.6 knows too
    return torch.compile(flex_attention.flex_attention, fullgraph=True)
