"""Small random networks of the families that invariants are measured on, exact in float64.

transformers computes RMSNorm in float32 whatever the model's dtype; `clean` replaces it by the same formula in the input's own
dtype. Rotary angles stay float32: they are a function of the position alone, the same in both things compared.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 64
WIDTH = 32
WINDOW = 8
"""Tokens that a sliding-window layer sees: fewer than the specimens' paths have."""

Size = dict[str, Any]


def make(shape: str, seed: int, dtype: torch.dtype = torch.float64, width: int = WIDTH) -> PreTrainedModel:
    """A causal language model of two layers and four heads, its weights a function of the seed; as transformers computes it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MAKERS[shape](_size(width))
        for name, p in model.named_parameters():
            if p.dim() == 1:  # gains and biases start at constants that would hide faults
                p.data.add_(0.1 * torch.randn_like(p) if "norm" in name or "ln" in name else 0.05 * torch.randn_like(p))
        nn.Module.to(model, dtype)
    return model.eval()


def clean(model: PreTrainedModel) -> PreTrainedModel:
    """RMSNorm in the model's own dtype, in place."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = MethodType(_norm, module)  # a method, so that a copy of the model computes with its own weights
    return model


def _norm(self: Any, x: Tensor) -> Tensor:
    gemma = "Gemma" in type(self).__name__
    epsilon: float = self.eps if gemma else self.variance_epsilon
    normed = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon)
    return normed * (1 + self.weight) if gemma else normed * self.weight


def _size(width: int) -> Size:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": width,
        "intermediate_size": width * 3 // 2,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "pad_token_id": 1,
        "bos_token_id": None,
        "eos_token_id": 0,
    }


def _grouped(size: Size) -> Size:
    """With two query heads to a key head."""
    return {**size, "num_key_value_heads": 2, "head_dim": size["hidden_size"] // 4}


def _gpt2(size: Size) -> PreTrainedModel:
    own: Size = {"n_embd": size["hidden_size"], "n_layer": 2, "n_head": 4, "n_positions": 512}
    dropped: Size = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, initializer_range=0.2, bos_token_id=0, eos_token_id=0, **own, **dropped))


def _gemma2(size: Size) -> PreTrainedModel:
    own: Size = {"query_pre_attn_scalar": size["hidden_size"] // 4, "sliding_window": WINDOW, "attn_logit_softcapping": 2.0}
    return Gemma2ForCausalLM(Gemma2Config(**_grouped(size), **own))


def _gpt_oss(size: Size) -> PreTrainedModel:
    own: Size = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": WINDOW}
    rotary: Size = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
    config = GptOssConfig(**_grouped(size), **own, **rotary)
    config._experts_implementation = "eager"  # the others have no float64
    return GptOssForCausalLM(config)


def _gemma3(size: Size) -> PreTrainedModel:
    kinds = ["sliding_attention", "full_attention"]
    own: Size = {"query_pre_attn_scalar": size["hidden_size"] // 4, "sliding_window": WINDOW, "layer_types": kinds}
    return Gemma3ForCausalLM(Gemma3TextConfig(**_grouped(size), **own))


MAKERS: dict[str, Callable[[Size], PreTrainedModel]] = {
    "llama": lambda size: LlamaForCausalLM(LlamaConfig(**_grouped(size), tie_word_embeddings=True)),
    "gpt2": _gpt2,
    "qwen3": lambda size: Qwen3ForCausalLM(Qwen3Config(**_grouped(size), tie_word_embeddings=False)),
    "gemma3": _gemma3,
    "neox": lambda size: GPTNeoXForCausalLM(GPTNeoXConfig(**size)),
    "phi3": lambda size: Phi3ForCausalLM(Phi3Config(**size, num_key_value_heads=2)),
    "olmo2": lambda size: Olmo2ForCausalLM(Olmo2Config(**size, num_key_value_heads=2)),
    "mistral": lambda size: MistralForCausalLM(MistralConfig(**_grouped(size), sliding_window=None)),
    "mistral_window": lambda size: MistralForCausalLM(MistralConfig(**_grouped(size), sliding_window=WINDOW)),
    "gemma2": _gemma2,
    "gpt_oss": _gpt_oss,
}
"""llama has grouped-query attention; gpt2 learnt positions and biases; qwen3 normalized queries and keys, untied words; gemma3 a sliding
window on its first layer; neox partial rotation and attention beside the feed-forward layer; phi3 fused projections; olmo2 norms after its
layers; mistral_window a sliding window on every layer; gemma2 soft caps on scores and logits; gpt_oss attention sinks and experts."""
SHAPES = tuple(MAKERS)
