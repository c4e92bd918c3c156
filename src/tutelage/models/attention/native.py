"""Attention by our kernel (models/kernels/tree_attention.c), where the processor multiplies bfloat16.

The plan's form here is a list of pairs: a block of 64 queries, a block of 64 keys of which it sees any, and a mask with a row of bits for
each key. One pass over the pairs gives outputs and their log-sum-exp, a second one all gradients; neither scores nor weights leave the
processor's caches.

T tokens (padded), N pairs, Q = K = 64 queries or keys of a block, H heads, d head width.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tutelage.models.attention.beside import NOTHING, Beside, Scoring
from tutelage.models.attention.plan import Plan
from tutelage.models.kernels import build

BLOCK, WIDEST, STEP = 64, 256, 16
"""Tokens of a block; head widths that the kernel takes: multiples of STEP up to WIDEST."""


@dataclass(frozen=True)
class Pairs:
    """first: [T / 64 + 1] each query block's pairs; key_N: the key block; seen_NK: row key, bit query."""

    first: Tensor
    key_N: Tensor
    seen_NK: Tensor


def pairs(plan: Plan, window: int | None) -> Pairs:
    """The pairs of blocks of which any query sees any key."""
    blocks = range(0, len(plan.segment_T), BLOCK)
    keys = [_key_blocks(range(at, at + BLOCK), plan) for at in blocks]
    query_N = torch.tensor([n for n, own in enumerate(keys) for _ in own])
    key_N = torch.tensor([key for own in keys for key in own])
    place_K = torch.arange(BLOCK)
    query_N1Q, key_NK1 = (query_N[:, None] * BLOCK + place_K)[:, None], (key_N[:, None] * BLOCK + place_K)[..., None]
    seen_NKQ = plan.above_SS[plan.segment_T[query_N1Q], plan.segment_T[key_NK1]] & (key_NK1 <= query_N1Q)
    if window is not None:
        seen_NKQ &= plan.position_T[query_N1Q] - plan.position_T[key_NK1] < window
    any_N = seen_NKQ.flatten(1).any(1)
    count = torch.bincount(query_N[any_N], minlength=len(blocks))
    first = torch.cat([torch.zeros(1, dtype=torch.long), count.cumsum(0)]).int()
    return Pairs(first, key_N[any_N].int(), (seen_NKQ[any_N].long() << place_K).sum(-1))


def _key_blocks(block: range, plan: Plan) -> list[int]:
    spans = ((plan.starts[s], min(plan.starts[s + 1], block.stop)) for s in plan.segments(block))
    return sorted({at for start, stop in spans for at in range(start // BLOCK, -(-stop // BLOCK))})


def fits(width: int) -> bool:
    """Do the kernels take heads so wide?"""
    return width % STEP == 0 and width <= WIDEST


def takes(q_THd: Tensor, v_THd: Tensor, beside: Beside = NOTHING) -> bool:
    """Can the kernel compute this?"""
    width = q_THd.shape[-1]
    return build.takes(q_THd) and fits(width) and v_THd.shape[-1] == width and beside.nothing


def attend(q_THd: Tensor, k_THd: Tensor, v_THd: Tensor, how: Scoring) -> Tensor:
    """[T, H, d]"""
    plan, window = how.plan, how.window
    return _Attend.apply(q_THd, k_THd, v_THd, plan.kept(("pairs", window), lambda: pairs(plan, window)), how.scale)


class _Strides(ctypes.Structure):
    _fields_ = (("token", ctypes.c_int64), ("head", ctypes.c_int64))


class _Call(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("blocks", "heads", "kv_heads", "width")),
        ("scale", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("first", "key_block", "seen", "q", "k", "v")),
        *((name, _Strides) for name in ("q_at", "k_at", "v_at")),
    )


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, plan: Pairs, scale: float) -> Tensor:
        q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
        out, lse_HT = torch.empty_like(q, memory_format=torch.contiguous_format), torch.empty(q.shape[1], q.shape[0])
        build.native().tree_attention_forward(_call(q, k, v, plan, scale), *_at(out), build.address(lse_HT))
        ctx.save_for_backward(q, k, v, out, lse_HT)
        ctx.plan, ctx.scale = plan, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, out, lse_HT = ctx.saved_tensors
        grad = grad if grad.stride(-1) == 1 else grad.contiguous()
        dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        call = _call(q, k, v, ctx.plan, ctx.scale)
        build.native().tree_attention_backward(call, *_at(out), *_at(grad), build.address(lse_HT), *_at(dq), *_at(dk), *_at(dv))
        return dq, dk, dv, None, None


def _call(q: Tensor, k: Tensor, v: Tensor, plan: Pairs, scale: float) -> Any:
    T, heads, width = q.shape
    tensors = (build.address(x) for x in (plan.first, plan.key_N, plan.seen_NK, q, k, v))
    return ctypes.byref(_Call(T // BLOCK, heads, k.shape[1], width, scale, *tensors, *(_strides(x) for x in (q, k, v))))


def _at(x: Tensor) -> tuple[ctypes.c_void_p, Any]:
    return build.address(x), ctypes.byref(_strides(x))


def _strides(x_THd: Tensor) -> _Strides:
    return _Strides(x_THd.stride(0), x_THd.stride(1))
