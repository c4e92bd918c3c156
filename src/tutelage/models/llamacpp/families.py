"""What llama.cpp must be told of a family: its numbers under llama.cpp's keys, and where a weight is laid out otherwise there.

    llama, mistral   rows of each query and key head in pairs: transformers rotates (i, i + d/2), llama.cpp (2i, 2i + 1)
    gemma3           norms are stored as what is multiplied: 1 + w
    gpt2             transformers keeps its matrices transposed (Conv1D)
    qwen3, phi3      as they are

Source: llama.cpp's conversion of the same families (ggml-org/llama.cpp, conversion/, MIT). Each family here was compared with
transformers through llama.cpp itself; a setting that llama.cpp computes otherwise, or that was never compared, is refused by its name.

D width of a head.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tutelage.core.errors import UserError

Config = Any
"""A transformers config: its fields differ by family."""
Fields = dict[str, Any]
"""llama.cpp's keys below the architecture's name, and their values."""


@dataclass(frozen=True)
class Family:
    """One `model_type` of transformers in llama.cpp's terms."""

    arch: str
    """The architecture's name there."""
    fields: Callable[[Config], Fields]
    laid_out: Callable[[str, Tensor, Config], Tensor]
    """A tensor as llama.cpp wants it, by its name in transformers."""
    activation: str
    demanded: Mapping[str, Any]
    """Settings that must be so (or absent), because llama.cpp knows no other."""


def family_of(config: Config, where: str) -> Family:
    """Raises UserError for a family, or a setting of one, that isn't carried over exactly."""
    kind = config.model_type
    if kind not in FAMILIES:
        raise UserError(f"{where}: the family {kind} can't be written for llama.cpp here; known are {', '.join(FAMILIES)}")
    family = FAMILIES[kind]
    used = next(
        (getattr(config, name) for name in ("hidden_activation", "activation_function", "hidden_act") if hasattr(config, name)), None
    )
    if used != family.activation:
        raise UserError(f"{where}: llama.cpp computes {kind} with {family.activation}, this model with {used}")
    for name, value in family.demanded.items():
        if getattr(config, name, value) != value:
            raise UserError(f"{where}: {name} is {getattr(config, name)}, llama.cpp's {kind} knows only {value}")
    return family


def common(config: Config) -> Fields:
    """Of all that rotate positions."""
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    return {
        "vocab_size": config.vocab_size,
        "context_length": context(config),
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", None) or heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": head,
    }


def context(config: Config) -> int:
    """Tokens for which llama.cpp computes the same: where it knows no window in a family that has one, those that the window holds."""
    length = config.max_position_embeddings
    window = getattr(config, "sliding_window", None)
    return min(length, window) if window and config.model_type in ("mistral", "phi3", "qwen3") and slides(config) else length


def slides(config: Config) -> bool:
    """Whether any layer sees a window only."""
    return getattr(config, "use_sliding_window", True) and "sliding_attention" in (
        getattr(config, "layer_types", None) or ["sliding_attention"]
    )


def rope(parameters: Mapping[str, Any]) -> Fields:
    """Rotations, plain or stretched. (Llama 3's stretching is a tensor of its own: `frequencies`.)"""
    kind = parameters.get("rope_type", "default")
    fields: Fields = {"rope.freq_base": float(parameters["rope_theta"])}
    if kind == "linear":
        return {**fields, "rope.scaling.type": "linear", "rope.scaling.factor": float(parameters["factor"])}
    if kind not in ("default", "llama3"):
        raise UserError(f"rope_type {kind}: this way of stretching positions can't be written for llama.cpp here")
    return fields


def frequencies(config: Config) -> Tensor | None:
    """[D / 2], float32: what Llama 3 divides each rotation's frequency by; None for other models."""
    given = getattr(config, "rope_parameters", None) or {}
    if given.get("rope_type") != "llama3":
        return None
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    low, high, factor = given["low_freq_factor"], given["high_freq_factor"], given["factor"]
    wave = 2 * math.pi * given["rope_theta"] ** (torch.arange(0, head, 2, dtype=torch.float64) / head)
    turns = given["original_max_position_embeddings"] / wave
    smooth = (turns - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return torch.where(turns < low, float(factor), torch.where(turns > high, 1.0, between)).float()


def llama(config: Config) -> Fields:
    return {**common(config), **rope(config.rope_parameters)}


def phi3(config: Config) -> Fields:
    fields = llama(config)
    share = config.rope_parameters.get("partial_rotary_factor") or 1.0
    return {**fields, "rope.dimension_count": int(fields["attention.key_length"] * share), "attention.sliding_window": 0}


def gemma3(config: Config) -> Fields:
    parameters = config.rope_parameters
    fields = {**common(config), **rope(parameters["full_attention"])}
    if config.query_pre_attn_scalar != fields["attention.key_length"]:
        raise UserError(f"query_pre_attn_scalar is {config.query_pre_attn_scalar}, llama.cpp's gemma3 divides by the head's width")
    if parameters["sliding_attention"].get("rope_type", "default") != "default":
        raise UserError("rope_parameters.sliding_attention: llama.cpp's gemma3 doesn't stretch positions in a window")
    if config.final_logit_softcapping:
        fields["final_logit_softcapping"] = float(config.final_logit_softcapping)
    fields["rope.freq_base_swa"] = float(parameters["sliding_attention"]["rope_theta"])
    sliding = [kind == "sliding_attention" for kind in config.layer_types]
    return {**fields, "attention.sliding_window": config.sliding_window, "attention.sliding_window_pattern": sliding}


def gpt2(config: Config) -> Fields:
    return {
        "context_length": config.n_positions,
        "embedding_length": config.n_embd,
        "block_count": config.n_layer,
        "feed_forward_length": config.n_inner or 4 * config.n_embd,
        "attention.head_count": config.n_head,
        "attention.layer_norm_epsilon": float(config.layer_norm_epsilon),
    }


def unchanged(name: str, x: Tensor, config: Config) -> Tensor:
    return x


def in_pairs(name: str, x: Tensor, config: Config) -> Tensor:
    """Rows of a query or key head from (first half, second half) to pairs."""
    part = name.split(".")[-2]
    if part not in ("q_proj", "k_proj"):
        return x
    heads = config.num_attention_heads if part == "q_proj" else config.num_key_value_heads
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def shifted(name: str, x: Tensor, config: Config) -> Tensor:
    return x.float() + 1 if name.endswith("norm.weight") else x


def turned(name: str, x: Tensor, config: Config) -> Tensor:
    return x.T.contiguous() if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) else x


FAMILIES = {
    "llama": Family("llama", llama, in_pairs, "silu", {"mlp_bias": False}),
    "mistral": Family("llama", llama, in_pairs, "silu", {}),
    "qwen3": Family("qwen3", llama, unchanged, "silu", {"attention_bias": False}),
    "gemma3_text": Family(
        "gemma3", gemma3, shifted, "gelu_pytorch_tanh", {"attn_logit_softcapping": None, "use_bidirectional_attention": False}
    ),
    "phi3": Family("phi3", phi3, unchanged, "silu", {}),
    "gpt2": Family(
        "gpt2",
        gpt2,
        turned,
        "gelu_new",
        {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
    ),
}
