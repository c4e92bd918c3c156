"""The operations of models/kernels/layers.c and weight_gradient.c as torch knows them: bfloat16 in and out, float32 within.

A weight that has a float32 master (models/precision.py) gets its gradient added to the master's at once: it is never rounded to bfloat16,
and autograd carries nothing on.

T rows, D columns, O outputs, H heads, d head width.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear as plain_linear

from tutelage.models.kernels.build import address, native

COLUMNS, ROWS = 16, 32
"""What rows' widths must be multiples of, and, in a weight's gradient, all sizes."""
SILU, GELU = 0, 1
"""As rows.h numbers them."""


def master_of(weight: Tensor) -> Tensor | None:
    """The float32 weight that `weight` is the rounding of, while it is trained."""
    return getattr(weight, "master", None)


Layer = tuple[Tensor, Tensor | None]
"""A linear layer's weight [O, D] and bias [O]."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W' + b; the gradient of W is made in float32."""
    return linears(x, [(weight, bias)])[0]


def linears(x: Tensor, layers: Sequence[Layer]) -> tuple[Tensor, ...]:
    """The same for layers that read the same x: its gradient is added up as it is made, and their weights' gradients share its packing."""
    learns = torch.is_grad_enabled() and all(master_of(weight) is not None for weight, _ in layers)
    tokens, sizes = x.numel() // x.shape[-1], [size for weight, _ in layers for size in weight.shape]
    if not learns or any(size % ROWS for size in (tokens, *sizes)):
        return tuple(plain_linear(x, weight, bias) for weight, bias in layers)
    return _Linears.apply(x, *(part for layer in layers for part in layer))


class _Linears(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *parts: Tensor | None) -> tuple[Tensor, ...]:
        weights, ctx.biases = parts[::2], [bias is not None and bias.requires_grad for bias in parts[1::2]]
        ctx.save_for_backward(x)
        ctx.weights = weights  # not saved: where activations are made again, what was saved comes back as a copy that knows no master
        return tuple(plain_linear(x, weight, bias) for weight, bias in zip(weights, parts[1::2], strict=True))  # pyright: ignore[reportArgumentType]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,), weights = ctx.saved_tensors, ctx.weights
        grads_TO = [grad.flatten(0, -2) for grad in grads]
        add_weight_gradients(weights, grads_TO, x.flatten(0, -2))
        dx = _through(grads_TO, weights).view_as(x) if ctx.needs_input_grad[0] else None
        biases = [grad_TO.sum(0) if learns else None for grad_TO, learns in zip(grads_TO, ctx.biases, strict=True)]
        return (dx, *(part for bias in biases for part in (None, bias)))


def _through(grads_TO: Sequence[Tensor], weights_OD: Sequence[Tensor]) -> Tensor:
    """[T, D] the sum of grad W."""
    dx_TD = grads_TO[0] @ weights_OD[0]
    for grad_TO, weight_OD in zip(grads_TO[1:], weights_OD[1:], strict=True):
        dx_TD.addmm_(grad_TO, weight_OD)
    return dx_TD


def add_weight_gradients(weights: Sequence[Tensor], grads_TO: Sequence[Tensor], x_TD: Tensor) -> None:
    """master.grad += grad' x, for each of them"""
    masters = [master for weight in weights if (master := master_of(weight)) is not None]
    fresh = [master.grad is None for master in masters]
    for master in masters:
        master.grad = torch.empty_like(master) if master.grad is None else master.grad
    weight_gradients([master.grad for master in masters if master.grad is not None], grads_TO, x_TD, fresh)


def weight_gradient(to_OD: Tensor, grad_TO: Tensor, x_TD: Tensor, fresh: bool) -> None:
    """to += grad' x, or = where it is `fresh`; to in float32, the others in bfloat16; all sizes multiples of ROWS."""
    weight_gradients([to_OD], [grad_TO], x_TD, [fresh])


def weight_gradients(to: Sequence[Tensor], grads_TO: Sequence[Tensor], x_TD: Tensor, fresh: Sequence[bool]) -> None:
    """`weight_gradient` for several layers that read the same x, of any widths O."""
    x_TD, *grads_TO = (x if x.stride(-1) == 1 else x.contiguous() for x in (x_TD, *grads_TO))
    n = len(to)
    pointers = ((ctypes.c_void_p * n)(*(x.data_ptr() for x in xs)) for xs in (to, grads_TO))
    numbers = ((ctypes.c_int64 * n)(*xs) for xs in ((x.stride(0) for x in grads_TO), (x.shape[1] for x in grads_TO)))
    sizes = (ctypes.c_int64(len(x_TD)), ctypes.c_int64(x_TD.shape[1]))
    native().weight_gradients(ctypes.c_int64(n), *pointers, *numbers, (ctypes.c_int32 * n)(*fresh), *_rows(x_TD), *sizes)


def norm(x: Tensor, weight: Tensor, unit: float, eps: float) -> Tensor:
    """x / rms(x) * (weight + unit), over the last dimension."""
    return _Norm.apply(x if x.is_contiguous() else x.contiguous(), weight, unit, eps)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, unit: float, eps: float) -> Tensor:
        y, scale_T = torch.empty_like(x), torch.empty(x.numel() // x.shape[-1])
        native().norm(*map(address, (y, scale_T, x, weight)), ctypes.c_float(unit), ctypes.c_float(eps), *_shape(x))
        ctx.save_for_backward(x, weight, scale_T)
        ctx.unit = unit
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, weight, scale_T = ctx.saved_tensors
        grad = grad.contiguous()
        dx, dw = torch.empty_like(x), torch.zeros(weight.shape) if ctx.needs_input_grad[1] else None
        to = ctypes.c_void_p(None) if dw is None else address(dw)
        native().norm_backward(address(dx), to, *map(address, (grad, scale_T, x, weight)), ctypes.c_float(ctx.unit), *_shape(x))
        return dx, dw, None, None


def gated(a: Tensor, b: Tensor, kind: int) -> Tensor:
    """silu(a) b, or gelu(a) b."""
    return _Gated.apply(a.contiguous(), b.contiguous(), kind)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, kind: int) -> Tensor:
        y = torch.empty_like(a)
        native().gated(*map(address, (y, a, b)), ctypes.c_int(kind), ctypes.c_int64(a.numel()))
        ctx.save_for_backward(a, b)
        ctx.kind = kind
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        a, b = ctx.saved_tensors
        grad, da, db = grad.contiguous(), torch.empty_like(a), torch.empty_like(b)
        native().gated_backward(*map(address, (da, db, grad, a, b)), ctypes.c_int(ctx.kind), ctypes.c_int64(a.numel()))
        return da, db, None


def rotary(x_THd: Tensor, cos_Td: Tensor, sin_Td: Tensor) -> Tensor:
    """x cos + turn(x) sin; x of any leading dimensions, contiguous within a token."""
    return _Rotary.apply(x_THd, cos_Td.contiguous(), sin_Td.contiguous())


class _Rotary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, back=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _turned(grad, *ctx.saved_tensors, back=True), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor, back: bool) -> Tensor:
    x = x.contiguous()
    y, (heads, width) = torch.empty_like(x), x.shape[-2:]
    sizes = map(ctypes.c_int64, (x.numel() // (heads * width), heads, width))
    native().rotary(*map(address, (y, x, cos, sin)), *sizes, ctypes.c_int(back))
    return y


def _rows(x: Tensor) -> tuple[ctypes.c_void_p, ctypes.c_int64]:
    return address(x), ctypes.c_int64(x.stride(0))


def _shape(x: Tensor) -> tuple[ctypes.c_int64, ctypes.c_int64]:
    return ctypes.c_int64(x.numel() // x.shape[-1]), ctypes.c_int64(x.shape[-1])
