"""New models from a seed: plain transformers models of a few sizes, and small ones of other families for tests.

The weights are a function of the seed alone; torch's global generator is left as it was. A wider model starts with smaller
weights only through transformers' own `initializer_range`, here a field of `Dimensions`.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tutelage.core.errors import UserError

Shape = Literal["llama", "gpt2", "qwen3", "gemma3", "mistral"]


@dataclass(frozen=True)
class Dimensions:
    """The size of a new model."""

    width: int
    layers: int
    heads: int
    """Query heads; each is width / heads wide."""
    kv_heads: int = 0
    """Key and value heads; 0: as many as `heads`."""
    ffn: int = 0
    """Width of the feed-forward layer; 0: 8/3 of `width`, rounded to 64 (SwiGLU, Shazeer 2020)."""
    context: int = 256
    """Tokens."""
    window: int = 0
    """Tokens that a sliding-window layer sees, its own included; 0: everything. Mistral: every layer; Gemma 3: every other one."""
    spread: float = 0.02
    """Standard deviation of the first weights."""

    @property
    def hidden(self) -> int:
        return self.ffn or max(64, round(self.width * 8 / 3 / 64) * 64)


SIZES = {
    # Narrow models begin with larger weights, about 0.7 / sqrt(width): at 0.02 attention stays flat for most of a short training.
    "nano": Dimensions(width=96, layers=2, heads=3, spread=0.07),
    "tiny": Dimensions(width=192, layers=4, heads=4, spread=0.05),
    "small": Dimensions(width=384, layers=6, heads=6, spread=0.036),
}


def new(size: str | Dimensions, tokenizer: PreTrainedTokenizerBase, seed: int, shape: Shape = "llama") -> PreTrainedModel:
    """A float32 model in evaluation mode, a row of its vocabulary for each token, input and output embeddings tied.

    Raises UserError for a size or shape that isn't known, or a width that the heads don't divide.
    """
    if isinstance(size, str) and size not in SIZES:
        raise UserError(f"model.new: {size!r} is no size; sizes are {', '.join(SIZES)}")
    if shape not in MAKERS:
        raise UserError(f"model.shape: {shape!r} is no shape; shapes are {', '.join(MAKERS)}")
    dimensions = SIZES[size] if isinstance(size, str) else size
    if dimensions.width % dimensions.heads or dimensions.heads % (dimensions.kv_heads or dimensions.heads):
        raise UserError(f"model.new: {dimensions.heads} heads must divide the width {dimensions.width}, and key heads the heads")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MAKERS[shape](dimensions, tokenizer)
    return model.float().eval()


def _tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _llama_like(d: Dimensions) -> dict[str, Any]:
    return {
        "hidden_size": d.width,
        "num_hidden_layers": d.layers,
        "num_attention_heads": d.heads,
        "num_key_value_heads": d.kv_heads or d.heads,
        "head_dim": d.width // d.heads,
        "intermediate_size": d.hidden,
        "max_position_embeddings": d.context,
        "initializer_range": d.spread,
        "tie_word_embeddings": True,
    }


def _llama(d: Dimensions, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**_llama_like(d), **_tokens(tokenizer)))


def _qwen3(d: Dimensions, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    return Qwen3ForCausalLM(Qwen3Config(**_llama_like(d), **_tokens(tokenizer)))


def _mistral(d: Dimensions, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    return MistralForCausalLM(MistralConfig(**_llama_like(d), **_tokens(tokenizer), sliding_window=d.window or None))


def _gemma3(d: Dimensions, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    kinds = [("sliding_attention" if d.window and layer % 2 == 0 else "full_attention") for layer in range(d.layers)]
    config = Gemma3TextConfig(
        **_llama_like(d),
        **_tokens(tokenizer),
        layer_types=kinds,
        sliding_window=d.window or d.context,
        query_pre_attn_scalar=d.width // d.heads,
    )
    return Gemma3ForCausalLM(config)


def _gpt2(d: Dimensions, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    if d.kv_heads not in (0, d.heads):
        raise UserError("model.new: the gpt2 shape has as many key heads as heads")
    config = GPT2Config(
        n_embd=d.width,
        n_layer=d.layers,
        n_head=d.heads,
        n_inner=d.ffn or 4 * d.width,
        n_positions=d.context,
        initializer_range=d.spread,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **_tokens(tokenizer),
    )
    return GPT2LMHeadModel(config)


MAKERS = {"llama": _llama, "gpt2": _gpt2, "qwen3": _qwen3, "gemma3": _gemma3, "mistral": _mistral}
