"""Small networks on which invariants are measured: float64 through and through, so that a difference is a fault and not rounding.

transformers computes RMSNorm in float32 whatever the model's dtype; `clean` replaces it by the same formula in the model's own
dtype. Rotary angles stay float32: they are a function of the position alone, the same in both things compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tutelage.models.attention import TREE
from tutelage.models.heads import ScalarHead
from tutelage.models.policy import SCALARS, Policy
from tutelage.models.roles import Role

VOCABULARY = 64
SHAPES = ("llama", "gpt2", "qwen3", "gemma3")
"""llama has grouped-query attention; gemma3 a sliding window of 8 on its first layer."""

_SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "pad_token_id": 1,
    "bos_token_id": None,
    "eos_token_id": 0,
}


@dataclass(frozen=True)
class Bench:
    """How the networks of one proof are made. `noise` moves adapters off their identity start."""

    shape: str = "llama"
    lora: bool = False
    dtype: torch.dtype = torch.float64
    attention: str = TREE
    noise: float = 0.3

    @property
    def name(self) -> str:
        return f"{self.shape}{' + lora' if self.lora else ''}"


def network(bench: Bench, seed: int) -> PreTrainedModel:
    """A causal language model of two layers, its weights a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _MAKERS[bench.shape]()
        for name, p in model.named_parameters():
            if p.dim() == 1:  # gains and biases start at constants that would hide faults
                p.data.add_(0.1 * torch.randn_like(p) if "norm" in name or "ln" in name else 0.05 * torch.randn_like(p))
        nn.Module.to(model, bench.dtype)
    return clean(model)


def policy(bench: Bench, needs: Sequence[str], seed: int = 0, same_reference: bool = False) -> Policy:
    """A policy with every role that `needs` names. References differ from the policy unless `same_reference`."""
    roles: dict[str, Role] = {}
    named = {need.partition("@")[2] or "policy" for need in needs} | {"policy"}
    for n, name in enumerate(sorted(named, key=lambda role: (role != "policy", role))):
        scalar = any(need.partition("@")[0] in SCALARS and (need.partition("@")[2] or "policy") == name for need in needs)
        trains = name in ("policy", "value")
        roles[name] = _role(bench, seed if same_reference and not scalar else seed + 10 * n, scalar, trains, bench.lora and trains)
    return Policy(roles, attention=bench.attention)


def _role(bench: Bench, seed: int, scalar: bool, trains: bool, adapted: bool) -> Role:
    model: nn.Module = network(bench, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        if adapted:
            targets = ["c_attn", "c_proj", "c_fc"] if bench.shape == "gpt2" else "all-linear"
            config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, fan_in_fan_out=bench.shape == "gpt2")
            model = get_peft_model(model, config).to(bench.dtype)
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.data.normal_(0.0, bench.noise) if bench.noise else p.data.zero_()
        head = ScalarHead(32, bench.dtype) if scalar else None
        if head is not None:
            head.weight.data.normal_(0.0, 0.2)
    return Role(model, "default" if adapted else None, head, trains)


def clean(model: PreTrainedModel) -> PreTrainedModel:
    """RMSNorm in the model's own dtype, in place."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _norm(module)  # type: ignore[method-assign]
    return model


def _norm(module: nn.Module) -> Callable[[Tensor], Tensor]:
    gemma = "Gemma" in type(module).__name__
    epsilon = module.eps if gemma else module.variance_epsilon
    assert isinstance(epsilon, float)

    def forward(x: Tensor) -> Tensor:
        normed = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon)
        gain = module.weight
        assert isinstance(gain, Tensor)
        return normed * (1 + gain) if gemma else normed * gain

    return forward


def _gemma3() -> PreTrainedModel:
    kinds = ["sliding_attention", "full_attention"]
    config = Gemma3TextConfig(**_SIZE, num_key_value_heads=2, query_pre_attn_scalar=8, sliding_window=8, layer_types=kinds)
    return Gemma3ForCausalLM(config)


def _gpt2() -> PreTrainedModel:
    size = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.2}
    return GPT2LMHeadModel(GPT2Config(**size, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0))


_MAKERS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_SIZE, num_key_value_heads=2, tie_word_embeddings=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_SIZE, num_key_value_heads=2, tie_word_embeddings=False)),
    "gemma3": _gemma3,
    "gpt2": _gpt2,
}
