"""Log-probabilities of targets under a matrix of words, without keeping logits.

    logp_m = x_m[target_m] - lse_m,  x = hidden W' / temperature,  lse_m = log sum_v exp(x_mv)
    d logp_m / d logits_mv = (1[v = target_m] - exp(x_mv - lse_m)) / temperature

`likelihood` gives a number per row and makes logits again in the backward pass. `total_nll` gives their negative sum alone, so that every
row's slope is known beforehand: the gradient is made in the same pass, while a chunk's logits are at hand, and the backward pass
multiplies. Gradients of W add up over chunks in float32. On a processor that multiplies bfloat16 a chunk's rows are read, and their
gradients written over them, by a kernel of ours (kernels/likelihood.c); elsewhere by torch.

M rows, V words, D width.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from tutelage.models.fused.functions import ROWS, weight_gradient
from tutelage.models.kernels.build import address, native, takes
from tutelage.models.sums import add

CHUNK = 384
"""Rows whose logits exist at the same time."""


def likelihood(hidden_MD: Tensor, words_VD: Tensor, target_M: Tensor, temperature: float = 1.0) -> Tensor:
    """[M] log-probability of each target in nats; float32, or float64 for float64 hidden states."""
    return _Likelihood.apply(hidden_MD, words_VD, target_M, 1 / temperature)


def total_nll(hidden_MD: Tensor, words_VD: Tensor, target_M: Tensor, rows: int, temperature: float = 1.0) -> Tensor:
    """-sum of the log-probabilities of the first `rows` targets; the others are padding."""
    return _TotalNLL.apply(hidden_MD, words_VD, target_M, rows, 1 / temperature, torch.is_grad_enabled())


class _Likelihood(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, words: Tensor, target: Tensor, by: float) -> Tensor:
        matrix = words.to(hidden.dtype)
        logp, lse = (hidden.new_empty(len(target), dtype=_wide(hidden)) for _ in range(2))
        for rows in _chunks(target):
            logp[rows], lse[rows] = _read(linear(hidden[rows], matrix), target[rows], by)
        ctx.save_for_backward(hidden, words, target, lse)
        ctx.by = by
        return logp

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        hidden, words, target, lse = ctx.saved_tensors
        matrix, dhidden = words.to(hidden.dtype), torch.empty_like(hidden)
        dwords = words.new_zeros(words.shape, dtype=_wide(hidden)) if ctx.needs_input_grad[1] else None
        for rows in _chunks(target):
            slopes = _slope(linear(hidden[rows], matrix), target[rows], ctx.by, lse[rows], slope[rows])
            _give(slopes, hidden[rows], matrix, dhidden[rows], dwords)
        return dhidden, dwords, None, None


class _TotalNLL(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, words: Tensor, target: Tensor, count: int, by: float, learns: bool) -> Tensor:
        matrix = words.to(hidden.dtype)
        total = hidden.new_zeros((), dtype=_wide(hidden))
        slope = torch.where(torch.arange(len(target), device=target.device) < count, -1.0, 0.0).to(total.dtype)
        dhidden = torch.empty_like(hidden) if learns else None
        dwords = words.new_zeros(words.shape, dtype=total.dtype) if learns and words.requires_grad else None
        for rows in _chunks(target):
            logits = linear(hidden[rows], matrix)
            logp, lse = _read(logits, target[rows], by)
            total += (logp * slope[rows]).sum()
            if dhidden is not None:
                _give(_slope(logits, target[rows], by, lse, slope[rows]), hidden[rows], matrix, dhidden[rows], dwords)
        ctx.gradients = dhidden, dwords  # nobody else's: no input or output, so autograd need not watch over them
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        dhidden, dwords = ctx.gradients
        ctx.gradients = None
        scaled = (None if x is None else x.mul_(slope) for x in (dhidden, dwords))
        return (*scaled, None, None, None, None)


def _chunks(target: Tensor) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, len(target), CHUNK))


def _give(slopes_MV: Tensor, hidden_MD: Tensor, matrix_VD: Tensor, dhidden_MD: Tensor, dwords_VD: Tensor | None) -> None:
    """A chunk's gradients, into where they belong."""
    torch.mm(slopes_MV, matrix_VD, out=dhidden_MD)
    if dwords_VD is None:
        return
    if takes(slopes_MV) and not any(size % ROWS for size in (*slopes_MV.shape, hidden_MD.shape[1])):
        weight_gradient(dwords_VD, slopes_MV, hidden_MD, fresh=False)
    else:
        add(dwords_VD, slopes_MV.t() @ hidden_MD)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _read(logits: Tensor, target: Tensor, by: float) -> tuple[Tensor, Tensor]:
    """(logp [M], lse [M])"""
    if not takes(logits):
        x = logits.to(_wide(logits)) * by
        lse = x.logsumexp(-1)
        return x.gather(-1, target[:, None])[:, 0] - lse, lse
    logp, lse = torch.empty(len(logits)), torch.empty(len(logits))
    native().likelihood(*_matrix(logits), address(target), ctypes.c_float(by), address(logp), address(lse))
    return logp, lse


def _slope(logits: Tensor, target: Tensor, by: float, lse: Tensor, slope: Tensor) -> Tensor:
    """[M, V] slope_m * d logp_m / d logits; may be written over `logits`."""
    if not takes(logits):
        p = (logits.to(_wide(logits)) * by - lse[:, None]).exp()
        d = p * (-by * slope)[:, None]
        return d.scatter_add_(1, target[:, None], (by * slope)[:, None]).to(logits.dtype)
    native().likelihood_slope(*_matrix(logits), address(target), ctypes.c_float(by), address(lse), address(slope.contiguous()))
    return logits


def _matrix(x: Tensor) -> tuple[ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]:
    return address(x), ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1])
