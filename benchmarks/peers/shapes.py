"""What both sides of a comparison are given: models with random weights, random tokens, and the count of useful FLOPs.

Speed only: nothing is learnt here, and nothing is said about quality. This file imports neither Tutelage nor a peer, so that both sides
load it in environments of their own.
"""

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
}
SFT_ROWS = 96
"""Examples of fine-tuning."""
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


def config(size: str, **more: Any) -> LlamaConfig:
    room = {"vocab_size": VOCABULARY, "max_position_embeddings": 4096}
    return LlamaConfig(**room, tie_word_embeddings=True, bos_token_id=None, eos_token_id=END, pad_token_id=PAD, **SIZES[size], **more)


def model(size: str, seed: int = 0) -> LlamaForCausalLM:
    """Float32, random weights."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(config(size))


def tokenizer() -> PreTrainedTokenizerFast:
    """A word a token: `t17` is id 17. Special tokens have names that no word begins with: they are cut out of words, too."""
    names = {UNKNOWN: "<unknown>", END: "<end>", PAD: "<pad>"}
    words = Tokenizer(models.WordLevel({names.get(i, f"t{i}"): i for i in range(VOCABULARY)}, unk_token=names[UNKNOWN]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token=names[UNKNOWN], eos_token=names[END], pad_token=names[PAD])


def endless() -> PreTrainedTokenizerFast:
    """The same, but what ends or pads a text has ids that no model writes: every response goes on to its limit."""
    words = tokenizer()
    words.add_special_tokens({"eos_token": "<never>", "pad_token": "<nothing>"})
    assert min(words.eos_token_id, words.pad_token_id) >= VOCABULARY
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
    shape = SIZES[size]
    width, hidden, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    return layers * (4 * width * width + 3 * width * hidden)


def head(size: str) -> int:
    """Parameters that only tokens to be predicted pass through."""
    return SIZES[size]["hidden_size"] * VOCABULARY
