"""The modules of transformers whose inside we know, computed with fewer passes over memory.

`fuse` gives each module of a known class the `forward` below; where our kernels don't apply (another dtype, a strange width) that calls the
class's own. Linear layers are still called as modules, so adapters see no difference. What isn't known stays as it is.
"""

from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.activations import ACT2FN

from tutelage.models.fused import functions
from tutelage.models.fused.functions import COLUMNS, GELU, SILU
from tutelage.models.fused.lora import lora
from tutelage.models.fused.packed import MOST, product
from tutelage.models.kernels import build
from tutelage.models.quantized import Quantized

Network = TypeVar("Network", bound=nn.Module)


def fuse(network: Network) -> Network:
    """`network`, its known modules computing by our kernels where there are any."""
    if build.library() is not None:
        for module in network.modules():
            if (forward := known(module)) is not None:
                module.forward = MethodType(forward, module)
    return network


def release(network: nn.Module) -> None:
    """All modules compute by their own `forward` again."""
    for module in network.modules():
        if known(module) is not None:
            vars(module).pop("forward", None)


def known(module: nn.Module) -> Callable[..., Any] | None:
    """Our `forward` for a module of this class; classes of transformers are known by name, so that none has to be imported."""
    own = type(module)
    if own is nn.Linear:
        return linear
    if own is Quantized:
        return of_codes
    if own.__module__ == "peft.tuners.lora.layer" and own.__name__ == "Linear":
        return lora
    return FORWARD.get(own.__name__) if own.__module__.startswith("transformers.models.") else None


def takes(x: Tensor) -> bool:
    """Do our kernels apply to these numbers?"""
    return build.takes(x) and x.shape[-1] % COLUMNS == 0


def linear(self: nn.Linear, x: Tensor) -> Tensor:
    if not takes(x) or self.weight.dtype != x.dtype:
        return nn.Linear.forward(self, x)
    weight = vars(self).get("packed")
    if weight is None or torch.is_grad_enabled() or x.numel() > MOST * x.shape[-1]:
        return functions.linear(x, self.weight, self.bias)
    return product(x, weight) if self.bias is None else product(x, weight) + self.bias


def of_codes(self: Quantized, x: Tensor) -> Tensor:
    """While a network writes its packed weights stand for the codes, as they do for the weights of others."""
    tiles = vars(self).get("packed")
    if tiles is None or not takes(x) or torch.is_grad_enabled() or x.numel() > MOST * x.shape[-1]:
        return Quantized.forward(self, x)
    return product(x, tiles) if self.bias is None else product(x, tiles) + self.bias


def together(x: Tensor, *layers: nn.Module) -> Iterable[Tensor]:
    """What layers make of the same x; as one operation where all are plain and learn. Layers that listen to calls are called."""
    plain = [layer for layer in layers if type(layer) is nn.Linear and not layer._forward_hooks and not layer._forward_pre_hooks]
    if len(plain) < len(layers) or not torch.is_grad_enabled() or not takes(x) or any(layer.weight.dtype != x.dtype for layer in plain):
        return [layer(x) for layer in layers]
    return functions.linears(x, [(layer.weight, layer.bias) for layer in plain])


def norm(self: Any, x: Tensor) -> Tensor:
    if takes(x) and self.weight.dtype == x.dtype:
        unit, eps = (0.0, self.variance_epsilon) if hasattr(self, "variance_epsilon") else (1.0, self.eps)  # Gemma's
        return functions.norm(x, self.weight, unit, eps)
    return type(self).forward(self, x)


def gated(self: Any, x: Tensor) -> Tensor:
    kind = _kind(self.act_fn)
    a, b = together(x, self.gate_proj, self.up_proj)
    if takes(a) and a.dtype == b.dtype and kind is not None:
        return self.down_proj(functions.gated(a, b, kind))
    return self.down_proj(self.act_fn(a) * b)


def gated_together(self: Any, x: Tensor) -> Tensor:
    """Phi 3 keeps gate and values in one matrix."""
    kind, both = _kind(self.activation_fn), self.gate_up_proj(x)
    a, b = both.chunk(2, dim=-1)
    if takes(a) and kind is not None:
        return self.down_proj(functions.gated(a, b, kind))
    return self.down_proj(b * self.activation_fn(a))


def _kind(activation: nn.Module) -> int | None:
    return KINDS.get(type(activation))


def attention(
    self: Any,
    hidden_states: Tensor,
    position_embeddings: tuple[Tensor, Tensor],
    attention_mask: Tensor | None = None,
    past_key_values: Any = None,
    **told: Any,
) -> tuple[Tensor, Tensor | None]:
    """What Llama, Mistral, Qwen 2 and Qwen 3 share: projections, norms of heads where there are any, angles, attention, output."""
    cos, sin = position_embeddings
    if past_key_values is not None or not takes(hidden_states) or cos.dtype != hidden_states.dtype or self.head_dim % COLUMNS:
        given = {"position_embeddings": position_embeddings, "attention_mask": attention_mask, "past_key_values": past_key_values}
        return type(self).forward(self, hidden_states, **{**told, **given})
    rows = hidden_states.shape[:-1]
    q, k, v = (y.view(*rows, -1, self.head_dim) for y in together(hidden_states, self.q_proj, self.k_proj, self.v_proj))
    if hasattr(self, "q_norm"):
        q, k = self.q_norm(q), self.k_norm(k)
    cos, sin = cos.expand(*rows, -1), sin.expand(*rows, -1)
    heads = (functions.rotary(q, cos, sin), functions.rotary(k, cos, sin), v)
    own = {"scaling": self.scaling, "dropout": self.attention_dropout if self.training else 0.0, "sliding_window": window_of(self)}
    attend = AttentionInterface()[self.config._attn_implementation]
    out, weights = attend(self, *(x.transpose(1, 2) for x in heads), attention_mask, **{**told, **own})
    return self.o_proj(out.reshape(*rows, -1)), weights


def window_of(attention: Any) -> int | None:
    """Qwen says for each layer whether its window slides; Mistral's config says it for all; Llama knows none."""
    return attention.sliding_window if hasattr(attention, "sliding_window") else getattr(attention.config, "sliding_window", None)


KINDS = {type(ACT2FN["silu"]): SILU, type(ACT2FN["gelu_pytorch_tanh"]): GELU}
FORWARD: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(
        ("LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm", "Olmo2RMSNorm", "Phi3RMSNorm", "Gemma3RMSNorm"), norm
    ),
    **dict.fromkeys(("LlamaMLP", "MistralMLP", "Qwen2MLP", "Qwen3MLP", "Olmo2MLP", "Gemma3MLP"), gated),
    "Phi3MLP": gated_together,
    **dict.fromkeys(("LlamaAttention", "MistralAttention", "Qwen2Attention", "Qwen3Attention"), attention),
}
