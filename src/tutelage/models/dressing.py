"""Config and tokenizer from disk, the tokenizer with an end and a pad that training can use.

Published tokenizers name as their end what ends a document, while their chat template ends an answer with another token (Gemma 3: `<eos>`
and `<end_of_turn>`; Phi-3: `<|endoftext|>` and `<|end|>`; base models of Qwen). An answer's end is what a chat must learn, so where they
differ the template's is taken; a server still stops at either, since the generation config keeps both. And many name no pad, or the end as
pad, which a classifier in plain transformers could not score: a token of the vocabulary that no text holds is taken, if there is one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerFast

from tutelage.core.errors import UserError
from tutelage.data.template import answer_end
from tutelage.models.config import CONFIG, CONTEXT, HIDDEN, LAYERS, WIDTH, WORDS, number_in, plain_config

PADS = ("<|finetune_right_pad_id|>", "<pad>", "<|pad|>", "[PAD]", "<|padding|>", "<unk>", "<|reserved_special_token_0|>", "<|endoftext|>")
"""Tokens that stand in published vocabularies and in no text: Llama 3.1, Gemma, OLMo 2, others, Mistral, Llama 3.0, Qwen and Phi."""

UNPACKED = ("fp8", "mxfp4")
"""Formats of published weights (FP8 of Qwen3 and DeepSeek; gpt-oss) that transformers unpacks exactly. Others stand for weights that are
published beside them."""


def tokenizer_in(directory: Path, told: Callable[[str], None] | None = None) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder; `told` hears what was chosen for it. Raises UserError where there is none, or it has no end."""
    if not (directory / "tokenizer.json").is_file():
        raise UserError(f"{directory}: no tokenizer.json here; save the model's fast tokenizer beside its weights")
    if (directory / CONFIG).is_file():
        config_in(directory)  # transformers looks there for the tokenizer's class, and would blame the tokenizer
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as problem:  # the tokenizers library raises bare Exceptions
        raise UserError(f"{directory}: the tokenizer can't be read ({brief(problem)})") from problem
    if tokenizer.eos_token_id is None:
        raise UserError(f"{directory}: the tokenizer names no eos_token, so no response could end; name it in tokenizer_config.json")
    try:
        end = _end(tokenizer)
    except UserError as problem:
        raise UserError(f"{directory}: {problem}") from problem
    for chosen in (end, _pad(tokenizer)):
        if chosen and told is not None:
            told(chosen)
    return tokenizer


def config_in(directory: Path) -> PreTrainedConfig:
    """The config of a folder. Raises UserError for one that isn't of an architecture that transformers has, or isn't as that needs it."""
    told = plain_config(directory)
    kind, method = told["model_type"], packing(told)
    if method and method not in UNPACKED:
        raise UserError(
            f"{directory}: these weights were quantized ({method}); begin with the ones they were made from, "
            "and say `adapter: {base: nf4}` or int8 to hold those in few bits while an adapter learns"
        )
    for size in (WIDTH, LAYERS, HIDDEN, WORDS, CONTEXT):
        number_in(directory, *size)  # a family takes -1 layers for none
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as problem:  # of every config class its own
        if "auto_map" in told:
            raise UserError(
                f"{directory}: this model ({kind}) is made by code of its own (auto_map), which is never run; "
                "it must be one of transformers' own architectures"
            ) from problem
        raise UserError(f"{directory}: its config.json can't be read as a model's ({brief(problem)})") from problem
    if method:
        vars(config).pop("quantization_config")  # what is made from it is packed no more
    return config


def packing(told: Mapping[str, Any]) -> str:
    """What config.json says of how weights were packed into few bits: fp8, gptq, ...; empty where they weren't."""
    found = told.get("quantization_config")
    return str(found.get("quant_method", "another tool") if isinstance(found, dict) else found or "")


def unpacking(directory: Path) -> dict[str, Any]:
    """What tells transformers to make whole numbers of packed weights; empty where they aren't packed."""
    told = plain_config(directory)
    return {**told["quantization_config"], "dequantize": True} if packing(told) else {}


def brief(problem: Exception) -> str:
    """The first sentence of another library's message; the second line too where the first only announces it."""
    text = repr(problem) if isinstance(problem, KeyError) else str(problem)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [repr(problem)]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


def _end(tokenizer: PreTrainedTokenizerFast) -> str:
    """Take the token with which the chat template ends an answer; what was done, in words."""
    named, wanted = str(tokenizer.eos_token), answer_end(tokenizer)
    if wanted is None or wanted == named:
        return ""
    tokenizer.eos_token = wanted
    return f"answers end with {wanted}, as the chat template ends them (the tokenizer names {named})"


def _pad(tokenizer: PreTrainedTokenizerFast) -> str:
    """Name a pad that isn't the end, where the vocabulary has one; what was done, in words."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return ""
    known, taken = tokenizer.get_vocab(), (tokenizer.eos_token, tokenizer.bos_token)
    pad = next((token for token in PADS if token in known and token not in taken), None)
    if pad is None:
        return ""
    tokenizer.pad_token = pad
    return f"{pad} is the pad (the tokenizer names none that isn't its end)"
