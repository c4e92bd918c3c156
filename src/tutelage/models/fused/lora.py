"""peft's LoRA layer with fewer passes over memory:

    y = x W' + s (x A') B'        Hu et al., 2106.09685, eq. 3; W frozen

W may be kept in few bits (models/quantized.py): it is then made for each product. A and B are padded with zeros to a rank that fills whole
tiles, and y takes up the second product as it is made, where peft makes it, scales it and adds it: a fresh adapter (B = 0) still changes no
bit. Gradients of A and B go to their float32 masters at once (functions.py).

T tokens, D columns, O outputs, r rank, p rank padded to a multiple of ROWS.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear as plain_linear
from torch.nn.functional import pad

from tutelage.models.fused.functions import ROWS, master_of, weight_gradient
from tutelage.models.kernels.build import takes
from tutelage.models.quantized import Quantized, weight_of


def lora(self: Any, x: Tensor) -> Tensor:
    """The `forward` of peft's `lora.Linear`."""
    name = _plain(self)
    if name is None:
        return type(self).forward(self, x)
    base, a_rD, b_Or, scale = self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight, float(self.scaling[name])
    narrow = all(map(takes, (x, a_rD, b_Or))) and (isinstance(base, Quantized) or takes(base.weight))
    learns = torch.is_grad_enabled()
    if not narrow or (learns and not _learnable(x, base, a_rD, b_Or)):
        return type(self).forward(self, x)
    if learns:
        return _Lora.apply(x, base, a_rD, b_Or, scale)
    return _added(base(x), x, *_padded(a_rD, b_Or, scale))[0]


def _plain(layer: Any) -> str | None:
    """The one active adapter, where the layer has no more to it than the equation above."""
    active = [name for name in layer.active_adapters if name in layer.lora_A]
    if layer.disable_adapters or layer.merged or len(active) != 1 or active[0] in layer.lora_variant:
        return None
    (name,) = active
    bare = isinstance(layer.lora_dropout[name], nn.Identity) and layer.lora_B[name].bias is None
    return name if bare and type(layer.base_layer) in (nn.Linear, Quantized) else None


def _learnable(x: Tensor, base: nn.Linear, *adapter: Tensor) -> bool:
    """The base is frozen; what learns has a master; the sizes are those of our kernel."""
    masters = all(master_of(w) is not None for w in adapter if w.requires_grad)
    frozen = isinstance(base, Quantized) or not base.weight.requires_grad
    return masters and frozen and not any(n % ROWS for n in (x.numel() // x.shape[-1], base.out_features, base.in_features))


def _padded(a_rD: Tensor, b_Or: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """A, and s B."""
    missing = -len(a_rD) % ROWS
    return pad(a_rD, (0, 0, 0, missing)), pad(b_Or * scale, (0, missing))


def _added(y: Tensor, x: Tensor, a_pD: Tensor, b_Op: Tensor) -> tuple[Tensor, Tensor]:
    """(y + x A' B', in y's memory; x A')"""
    z_Tp = x.reshape(-1, x.shape[-1]) @ a_pD.T
    y.view(-1, y.shape[-1]).addmm_(z_Tp, b_Op.T)
    return y, z_Tp


class _Lora(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, base: nn.Linear, a_rD: Tensor, b_Or: Tensor, scale: float) -> Tensor:
        a_pD, b_Op = _padded(a_rD, b_Or, scale)
        y, z_Tp = _added(plain_linear(x, weight_of(base, x.dtype), base.bias), x, a_pD, b_Op)
        ctx.save_for_backward(x, z_Tp, a_pD, b_Op)
        ctx.base, ctx.adapter, ctx.scale = base, (a_rD, b_Or), scale  # as in functions.py, weights aren't saved
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        (x, z_Tp, a_pD, b_Op), (a_rD, b_Or) = ctx.saved_tensors, ctx.adapter
        x_TD, grad_TO = (y.reshape(-1, y.shape[-1]) for y in (x, grad))
        dz_Tp = grad_TO @ b_Op
        if a_rD.requires_grad:
            _add(a_rD, _product(x_TD, dz_Tp)[:, : len(a_rD)].T)
        if b_Or.requires_grad:
            _add(b_Or, _product(grad_TO, z_Tp)[:, : b_Or.shape[1]] * ctx.scale)
        dx = (grad_TO @ weight_of(ctx.base, grad.dtype)).addmm_(dz_Tp, a_pD).view_as(x) if ctx.needs_input_grad[0] else None
        return dx, None, None, None, None


def _product(left_TO: Tensor, right_TD: Tensor) -> Tensor:
    """[O, D] left' right in float32; our kernel shares out columns of the left, so that is the wide one."""
    made_OD = torch.empty(left_TO.shape[1], right_TD.shape[1])
    weight_gradient(made_OD, left_TO, right_TD, fresh=True)
    return made_OD


def _add(weight: Tensor, gradient: Tensor) -> None:
    master = master_of(weight)
    assert master is not None
    if master.grad is None:
        master.grad = gradient.clone()
    else:
        master.grad += gradient
