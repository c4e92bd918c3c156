"""What both sides of a comparison are given: models with random weights, random tokens, and the count of useful FLOPs.

Speed only: nothing is learnt here, and nothing is said about quality. This file imports neither Tutelage nor a peer, so that both sides
load it in environments of their own.
"""

import os
import random
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY, CONTEXT = 8192, 512
SIZES: dict[str, dict[str, int]] = {
    "11m": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6},
    "60m": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 8, "num_attention_heads": 12},
    # The shapes of usual models, several query heads to a key head: for machines that hold them.
    "0.6b": {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
    },
    "1.7b": {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
    },
    "8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
    },
}
SFT_ROWS = 96
"""Examples of fine-tuning."""
LONG, LONG_ROWS, RANK = 4096, 16, 16
"""Fine-tuning by adapters on a GPU: tokens of an example, examples, the adapters' rank."""
PROMPT, RESPONSE = 128, 64
"""Tokens of preferences."""
SAMPLED = 64
"""Tokens of a prompt that is sampled from, and of each response."""
EPISODES, MINIBATCHES, EPOCHS = 64, 4, 4
"""Of a phase of PPO: responses, optimizer steps per epoch, epochs."""
GROUPS, GROUP = 8, 8
"""Of a step of GRPO: prompts, and responses to each."""
BETA = 0.04
"""Weight of the KL in GRPO's loss, so that there is a reference to read."""
UNKNOWN, END, PAD, FIRST = 0, 1, 2, 3
"""Ids of the special tokens, and the first of the others."""


def device() -> torch.device:
    """Where both sides compute: on the GPU where there is one, unless TUTELAGE_DEVICE says cpu."""
    return torch.device("cuda", 0) if torch.cuda.is_available() and os.environ.get("TUTELAGE_DEVICE") != "cpu" else torch.device("cpu")


def finished() -> None:
    """Wait until the device has done all it was asked for: before a clock is read."""
    if device().type == "cuda":
        torch.cuda.synchronize()


def config(size: str, **more: Any) -> LlamaConfig:
    shape = {"vocab_size": VOCABULARY, "max_position_embeddings": 4096, "tie_word_embeddings": True, **SIZES[size]}
    return LlamaConfig(**shape, bos_token_id=None, eos_token_id=END, pad_token_id=PAD, **more)


def model(size: str, seed: int = 0) -> LlamaForCausalLM:
    """Float32, random weights."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(config(size))


def tokenizer(count: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """A word a token: `t17` is id 17. Special tokens have names that no word begins with: they are cut out of words, too."""
    names = {UNKNOWN: "<unknown>", END: "<end>", PAD: "<pad>"}
    words = Tokenizer(models.WordLevel({names.get(i, f"t{i}"): i for i in range(count)}, unk_token=names[UNKNOWN]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token=names[UNKNOWN], eos_token=names[END], pad_token=names[PAD])


def endless(size: str) -> PreTrainedTokenizerFast:
    """The same, but what ends or pads a text has ids that the model doesn't write: every response goes on to its limit."""
    count = config(size).vocab_size
    words = tokenizer(count)
    words.add_special_tokens({"eos_token": "<never>", "pad_token": "<nothing>"})
    assert len(words) == count + 2
    return words


def lengths(count: int, seed: int) -> list[int]:
    """Lengths of fine-tuning examples: lognormal(4.7, 0.6), between 20 and the context."""
    draw = random.Random(seed)
    return [min(CONTEXT, max(20, int(draw.lognormvariate(4.7, 0.6)))) for _ in range(count)]


def ids(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(FIRST, VOCABULARY) for _ in range(count)]


def fine_tuning(count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """(prompt, response) with a third of the tokens in the prompt."""
    draw = random.Random(seed)
    return [(ids(draw, n // 3), ids(draw, n - n // 3)) for n in lengths(count, seed)]


def documents() -> list[list[int]]:
    """Examples that are learnt from whole."""
    draw = random.Random(0)
    return [ids(draw, LONG) for _ in range(LONG_ROWS)]


def prompts_with_responses(count: int, prompt: int, responses: int, length: int, seed: int) -> list[tuple[list[int], list[list[int]]]]:
    """(prompt, its responses), all of the same lengths; the first response is the best."""
    draw = random.Random(seed)
    return [(ids(draw, prompt), [ids(draw, length) for _ in range(responses)]) for _ in range(count)]


def text(tokens: Sequence[int]) -> str:
    """What the tokenizer reads as `tokens`."""
    return " ".join(f"t{token}" for token in tokens)


def even(response: Sequence[int]) -> float:
    """A reward that costs nothing: the share of even ids."""
    return sum(token % 2 == 0 for token in response) / len(response)


def body(size: str) -> int:
    """Parameters that every token passes through."""
    shape = config(size)
    width, heads, keys = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads or shape.num_attention_heads
    attention = 2 * width * (heads + keys) * (shape.head_dim or width // heads)  # queries and the output, keys and values
    return shape.num_hidden_layers * (attention + 3 * width * shape.intermediate_size)


def head(size: str) -> int:
    """Parameters that only tokens to be predicted pass through."""
    shape = config(size)
    return shape.hidden_size * shape.vocab_size
