"""Products of few rows with weights that were packed beforehand, as a product wants its right-hand side (kernels/decode.c): while a network
writes, each weight is read once a step, in order, however many rows there are.

M rows, O outputs, D columns.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tutelage.models.fused.functions import ROWS
from tutelage.models.kernels.build import address, native, takes
from tutelage.models.quantized import Quantized, weight_of

MOST = 1024
"""Rows beyond which torch's own product is as fast."""
ROOM = 2 << 30
"""Bytes of packed weights that a network may cost besides its own."""


@dataclass(frozen=True)
class Packed:
    """A weight [O, D] in tiles."""

    tiles: Tensor
    outputs: int
    columns: int


def pack_weight(weight_OD: Tensor) -> Packed | None:
    """The packed weight, or None where our kernel can't take it."""
    if not takes(weight_OD) or any(n % ROWS for n in weight_OD.shape):
        return None
    weight_OD = weight_OD.detach().contiguous()
    tiles, sizes = torch.empty_like(weight_OD), map(ctypes.c_int64, weight_OD.shape)
    native().pack_weight(address(tiles), address(weight_OD), *sizes)
    return Packed(tiles, *weight_OD.shape)


def product(x: Tensor, weight: Packed) -> Tensor:
    """x W', over the last dimension of x."""
    x = x.contiguous()
    y = x.new_empty(*x.shape[:-1], weight.outputs)
    sizes = map(ctypes.c_int64, (x.numel() // weight.columns, weight.outputs, weight.columns))
    native().product(*map(address, (y, x, weight.tiles)), *sizes)
    return y


@contextmanager
def packed(network: PreTrainedModel) -> Iterator[None]:
    """Within, the network's fused linear layers (models/fused/modules.py) multiply few rows by packed weights; but for the matrix of words,
    which the sampler packs itself."""
    words = network.get_output_embeddings()
    layers = [m for m in network.modules() if isinstance(m, nn.Linear) and _fused(m) and m is not words]
    if sum(layer.in_features * layer.out_features for layer in layers) * 2 > ROOM:
        layers = []
    try:
        for layer in layers:
            layer.packed = pack_weight(weight_of(layer, torch.bfloat16))  # pyright: ignore[reportArgumentType]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("packed", None)


def _fused(layer: nn.Linear) -> bool:
    return type(layer) in (nn.Linear, Quantized) and "forward" in vars(layer)
