"""A token of every row through a whole network in one call of our kernel (kernels/decode.c), where the network is built like Llama:

    x += O attention(turn(Q norm(x)), turn(K norm(x)), V norm(x)),   x += Down (silu(Gate norm(x)) * Up norm(x))

The same numbers as by its modules, without their way from one to the next; adapters and other families go by their modules.

B rows, L layers, D width, d head width.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tutelage.models import slots
from tutelage.models.attention.native import fits
from tutelage.models.decoding import Cache
from tutelage.models.fused.functions import COLUMNS, SILU
from tutelage.models.fused.modules import KINDS, window_of
from tutelage.models.fused.packed import ROOM, pack_weight
from tutelage.models.kernels.build import address, native
from tutelage.models.slots import KeptCall, Sight, SlotCache

FAMILIES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
LINEAR = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("norm", "qkv", "bias", "q_norm", "k_norm", "out", "ffn_norm", "gate_up", "down")),
        ("prompts", KeptCall),
        ("own", KeptCall),
    )


class _Shape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("layers", "D", "F", "kv_heads", "d")),
        ("eps", ctypes.c_float),
        ("norm", ctypes.c_void_p),
    )


class _Step(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("x", "tiles", "wide", "narrow", "cos_Bd", "sin_Bd"))


def takes(model: PreTrainedModel) -> bool:
    """Is this network built so, and bare?"""
    if type(model).__name__ not in FAMILIES or not slots.takes(model) or model.num_parameters() * 2 > ROOM:
        return False
    layers: Any = model.base_model.layers
    linear = [(name, getattr(getattr(layer, part), name)) for layer in layers for part, names in LINEAR.items() for name in names]
    plain = all(type(module) is nn.Linear and (module.bias is None or name in "q_proj k_proj v_proj") for name, module in linear)
    if (
        not plain
        or KINDS.get(type(layers[0].mlp.act_fn)) != SILU
        or layers[0].self_attn.head_dim % COLUMNS
        or not fits(layers[0].self_attn.head_dim)
    ):
        return False
    narrow = all(p.dtype == torch.bfloat16 for layer in layers for p in layer.parameters())
    return narrow and all(size % 32 == 0 for _, module in linear for size in module.weight.shape)


class Steps:
    """The network's weights, packed once; they must not change while it is used."""

    def __init__(self, model: PreTrainedModel) -> None:
        inner: Any = model.base_model
        self.inner, first = inner, inner.layers[0]
        self.heads, self.scale = first.self_attn.q_proj.out_features // first.self_attn.head_dim, first.self_attn.scaling
        kv_heads, width = first.self_attn.k_proj.out_features // first.self_attn.head_dim, first.self_attn.head_dim
        sizes = (len(inner.layers), first.mlp.gate_proj.in_features, first.mlp.gate_proj.out_features, kv_heads, width)
        self.shape = _Shape(*sizes, inner.norm.variance_epsilon, inner.norm.weight.data_ptr())
        self.windows = [window_of(layer.self_attn) for layer in inner.layers]
        self.weights = [_weights(layer) for layer in inner.layers]

    def __call__(self, ids_B1: Tensor, position_B1: Tensor, cache: Cache) -> Tensor:
        """[B, 1, D] last hidden states."""
        assert isinstance(cache, SlotCache)
        x_B1D = self.inner.embed_tokens(ids_B1).contiguous()
        angles = [x.contiguous() for x in self.inner.rotary_emb(x_B1D, position_B1)]
        layers = (_Layer * len(self.weights))(*map(self._layer, range(len(self.weights)), [cache] * len(self.weights)))
        sights = [cache.sight(window) for window in self.windows]
        first_LB, own_LB = torch.stack([s.first_B for s in sights]), torch.stack([s.own_B for s in sights])
        rows = cache.rows(self.heads, self.scale, Sight(first_LB, sights[0].last_B, own_LB))
        room = [x_B1D.new_empty(size) for size in self._rooms(len(ids_B1))]
        step = _Step(*(x.data_ptr() for x in (x_B1D, *room, *angles)))
        native().decode_step(*map(ctypes.byref, (self.shape, layers, rows)), address(first_LB), address(own_LB), ctypes.byref(step))
        return x_B1D

    def _layer(self, layer: int, cache: SlotCache) -> _Layer:
        pointers = (None if weight is None else weight.data_ptr() for weight in self.weights[layer])
        return _Layer(*pointers, cache.prompts[layer].call(), cache.own[layer].call())

    def _rooms(self, rows: int) -> tuple[int, int, int]:
        """Numbers in the rooms that decode_step wants."""
        shape, hidden = self.shape, self.heads * self.shape.d
        widest = max(shape.D, hidden, shape.F)
        return -(-rows // 32) * 32 * widest, rows * max(hidden + 2 * shape.kv_heads * shape.d, 2 * shape.F), rows * widest


def _weights(layer: Any) -> tuple[Tensor | None, ...]:
    """As _Layer names them."""
    attention, mlp = layer.self_attn, layer.mlp
    three = (attention.q_proj, attention.k_proj, attention.v_proj)
    bias = None if three[0].bias is None else torch.cat([module.bias for module in three])
    norms = (attention.q_norm.weight, attention.k_norm.weight) if hasattr(attention, "q_norm") else (None, None)
    qkv, gate_up = _packed(*three), _packed(mlp.gate_proj, mlp.up_proj)
    inner = (layer.post_attention_layernorm.weight, gate_up, _packed(mlp.down_proj))
    return (layer.input_layernorm.weight, qkv, bias, *norms, _packed(attention.o_proj), *inner)


def _packed(*modules: nn.Linear) -> Tensor:
    """Their weights below each other, in tiles."""
    packed = pack_weight(torch.cat([module.weight for module in modules]))
    assert packed is not None
    return packed.tiles
