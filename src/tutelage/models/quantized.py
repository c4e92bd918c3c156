"""Linear layers whose frozen weights are kept in few bits, under an adapter that learns (QLoRA, Dettmers et al. 2023, arXiv 2305.14314).

    nf4    w = c[q] s     16 values c, the quantiles of a normal distribution; a scale s for each 64 weights, itself in 8 bits with a
                          float32 scale for each 256 (section 3, "double quantization"): 4.127 bits a weight
    int8   w = q s / 127  a scale s for each output (Dettmers et al. 2022, arXiv 2208.07339, section 2.1): 8 bits a weight

bitsandbytes makes and reads the codes, so an adapter learnt here belongs on the same base in plain transformers. The product is ours: the
layer's weights are made anew in what is multiplied, for the product and again for its gradient, so no more than one layer is ever held
whole, and what follows is the arithmetic of any other layer. bitsandbytes's own products round more: in int8 activations too, some columns
of them chosen over the whole batch, so that what is read of a token would depend on its neighbors.

Vectors of words, norms and the words' output matrix stay what they are. O outputs, D columns.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tutelage.core.errors import UserError

Base = Literal["as_is", "nf4", "int8"]
BLOCK = 64
"""Weights to a scale of NF4."""


@dataclass(frozen=True)
class Nf4:
    """What decodes a layer's codes, two weights a byte: `scales` are bitsandbytes's, `shape` [O, D] the layer's."""

    scales: Any
    shape: tuple[int, int]

    @classmethod
    def of(cls, weight_OD: Tensor) -> tuple[Tensor, "Nf4"]:
        """Codes, and what decodes them."""
        from bitsandbytes.functional import quantize_4bit

        # On processors bitsandbytes misreads blocks that cross from one row into the next; one long row has no next.
        flat = weight_OD if weight_OD.shape[1] % BLOCK == 0 else weight_OD.reshape(1, -1)
        codes, scales = quantize_4bit(flat.contiguous(), blocksize=BLOCK, quant_type="nf4", compress_statistics=True)
        return codes, cls(scales, (weight_OD.shape[0], weight_OD.shape[1]))

    def weight(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """[O, D]; in bfloat16 the rounding of what they are in float32."""
        from bitsandbytes.functional import dequantize_4bit

        scales = copy.copy(self.scales)
        scales.dtype = dtype if dtype == torch.bfloat16 else torch.float32
        return dequantize_4bit(codes, scales).view(self.shape).to(dtype)

    @property
    def device(self) -> torch.device:
        return self.scales.absmax.device

    def to(self, device: torch.device) -> "Nf4":
        scales = copy.deepcopy(self.scales)
        scales.to(device)
        return Nf4(scales, self.shape)

    @property
    def bytes(self) -> int:
        """The table of 256 values that decodes scales is one for all layers, and not counted."""
        held = (self.scales.code, self.scales.absmax, self.scales.offset, self.scales.state2.absmax)
        return sum(x.nbytes for x in held)


@dataclass(frozen=True)
class Int8:
    """What decodes a layer's codes [O, D]: `scales` [O], the largest weight of each output."""

    scales: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, weight_OD: Tensor) -> tuple[Tensor, "Int8"]:
        """Codes, and what decodes them."""
        from bitsandbytes.functional import int8_vectorwise_quant

        codes, scales, _ = int8_vectorwise_quant(weight_OD.half().contiguous())  # bitsandbytes reads nothing else
        return codes, cls(scales, (weight_OD.shape[0], weight_OD.shape[1]))

    def weight(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """[O, D]"""
        from bitsandbytes.functional import int8_vectorwise_dequant

        return int8_vectorwise_dequant(codes, self.scales).to(dtype)

    @property
    def device(self) -> torch.device:
        return self.scales.device

    def to(self, device: torch.device) -> "Int8":
        return Int8(self.scales.to(device), self.shape)

    @property
    def bytes(self) -> int:
        return self.scales.nbytes


Key = Nf4 | Int8
KINDS: dict[str, Callable[[Tensor], tuple[Tensor, Key]]] = {"nf4": Nf4.of, "int8": Int8.of}


class Quantized(nn.Linear):
    """A linear layer that keeps `codes` in place of weights; `key` makes weights of them when they are asked for. Codes are a parameter, of
    whole numbers, so that no cast reaches them, and processes share them out like any weight (models/shards.py); keys, a thirtieth of that,
    each holds whole. `turned`: it stood as a Conv1D, GPT-2's linear layer, which keeps W'."""

    def __init__(self, codes: Tensor, key: Key, bias: nn.Parameter | None, turned: bool) -> None:
        nn.Module.__init__(self)  # nn.Linear's own would make a weight
        self.codes, self.key, self.bias, self.turned = nn.Parameter(codes, requires_grad=False), key, bias, turned
        self.out_features, self.in_features = key.shape

    @property
    def weight(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """[O, D] in float32, made anew."""
        return self.made(torch.float32)

    def made(self, dtype: torch.dtype) -> Tensor:
        """[O, D] its weights, anew."""
        return self.key.weight(self.codes, dtype)

    @property
    def bytes(self) -> int:
        """Of what is kept in place of weights."""
        return self.codes.nbytes + self.key.bytes

    def forward(self, input: Tensor) -> Tensor:
        """x W' + b, in the dtype of x."""
        return _Product.apply(input, self.bias, self)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Quantized":
        """The key follows the codes to another device."""
        super()._apply(fn, recurse)
        if self.key.device != self.codes.device:
            self.key = self.key.to(self.codes.device)
        return self


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, layer: Quantized) -> Tensor:
        ctx.layer = layer
        return linear(x, layer.made(x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None]:
        return (grad @ ctx.layer.made(grad.dtype) if ctx.needs_input_grad[0] else None), None, None


def weight_of(layer: nn.Linear, dtype: torch.dtype) -> Tensor:
    """[O, D] a layer's weights: its own, or made anew in `dtype` where it keeps codes."""
    return layer.made(dtype) if isinstance(layer, Quantized) else layer.weight


def quantize(model: PreTrainedModel, base: Base, device: torch.device | None = None) -> PreTrainedModel:
    """`model`, its linear layers but the words' output matrix in `base`, in place; made on `device`, layer by layer, where one is given.

    What stays is in the model's dtype still, and nothing of the layers learns any more. Raises UserError where bitsandbytes is
    missing, or the model has no linear layer."""
    if base == "as_is":
        return model
    if find_spec("bitsandbytes") is None:
        raise UserError(f"adapter.base: {base} needs bitsandbytes; pip install 'tutelage[quant]'")
    output = model.get_output_embeddings()
    names = [name for name, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D) and m is not output]
    if not names:
        raise UserError(f"adapter.base: {type(model).__name__} has no linear layers that could be kept in {base}")
    for name in names:  # nobody holds a layer once it is replaced, so its weights go at once
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, _quantized(model.get_submodule(name), base, device))
    return model


def _quantized(layer: nn.Module, base: Base, device: torch.device | None) -> Quantized:
    assert isinstance(layer, nn.Linear | Conv1D)
    turned, weight = isinstance(layer, Conv1D), layer.weight.detach()
    weight_OD = (weight.T if turned else weight).to(device, weight.dtype if weight.dtype == torch.bfloat16 else torch.float32)
    bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().to(device), requires_grad=False)
    return Quantized(*KINDS[base](weight_OD), bias, turned).train(layer.training)


def whole(layer: Quantized) -> nn.Linear:
    """A plain float32 layer of the same numbers."""
    weight_OD, bias = layer.weight, layer.bias
    plain = nn.Linear(1, 1, bias=bias is not None, device="meta")
    plain.out_features, plain.in_features = weight_OD.shape
    plain.weight = nn.Parameter(weight_OD, requires_grad=False)
    if bias is not None:
        plain.bias = nn.Parameter(bias.detach().float(), requires_grad=False)
    return plain


def as_it_stood(layer: nn.Linear, turned: bool) -> nn.Module:
    """A plain layer in the form that its family has."""
    if not turned:
        return layer
    plain = Conv1D(layer.out_features, layer.in_features).to(layer.weight.dtype)
    plain.weight, plain.bias = nn.Parameter(layer.weight.T.contiguous(), requires_grad=False), layer.bias
    return plain


def quantized(network: nn.Module) -> list[Quantized]:
    """The layers that keep codes."""
    return [module for module in network.modules() if isinstance(module, Quantized)]


def noted(network: nn.Module) -> dict[str, Any]:
    """For the manifest: the base's kind, bits for each weight of its layers, and its bytes as it is held and as it would be in bfloat16,
    vectors of words included, adapters not. Empty where nothing is quantized."""
    layers = quantized(network)
    if not layers:
        return {}
    others = [p for name, p in network.named_parameters() if ".lora_" not in name and p.is_floating_point()]
    weights, held = sum(m.in_features * m.out_features for m in layers), sum(m.bytes for m in layers)
    rest = {"base_bytes": held + sum(p.nbytes for p in others), "base_bytes_bf16": 2 * (weights + sum(p.numel() for p in others))}
    return {"base": "nf4" if isinstance(layers[0].key, Nf4) else "int8", "base_bits": round(8 * held / weights, 3), **rest}
