"""Small models of published families, as their repositories on the hub are: config, random weights, tokenizer, chat template, and their
quirks: ends that aren't the tokenizer's, no pads, dates, templates that refuse roles, generation configs with several ends.

The templates are written anew and shorter; for conversations without tools they write what the published ones write. Llama 3.1/3.2, Qwen3,
Gemma 3, Mistral 7B v0.3, Phi-3.5 mini, Phi-4, OLMo 2, SmolLM3; GPT-2 has none.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

LLAMA3 = (
    "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\nToday Date: ' + date_string }}"
    "{{- '\\n\\n' + system + '<|eot_id|>' }}"
    "{%- for m in messages %}"
    "{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
QWEN3 = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- set ns = namespace(last=0) %}"
    "{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}"
    "{%- for m in messages %}"
    "{%- if m.role == 'user' %}{{- '<|im_start|>user\\n' + m.content + '<|im_end|>\\n' }}"
    "{%- elif m.role == 'assistant' %}"
    "{%- set said = m.content.split('</think>')[-1].lstrip('\\n') %}"
    "{%- set thought = '' %}{%- if '</think>' in m.content %}"
    "{%- set thought = m.content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last and (loop.last or thought) %}"
    "{{- '<|im_start|>assistant\\n<think>\\n' + thought + '\\n</think>\\n\\n' + said }}"
    "{%- else %}{{- '<|im_start|>assistant\\n' + said }}{%- endif %}{{- '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
GEMMA3 = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set first = messages[0]['content'] + '\\n\\n' -%}"
    "{%- set rest = messages[1:] -%}{%- else -%}{%- set first = '' -%}{%- set rest = messages -%}{%- endif -%}"
    "{%- for m in rest -%}{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + (first if loop.first else '') }}"
    "{%- if m['content'] is string -%}{{ m['content'] | trim }}{%- endif -%}{{ '<end_of_turn>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + '[/INST]' }}{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)
PHI3 = (
    "{% for m in messages %}{% if m['role'] == 'system' and m['content'] %}{{ '<|system|>\\n' + m['content'] + '<|end|>\\n' }}"
    "{% elif m['role'] == 'user' %}{{ '<|user|>\\n' + m['content'] + '<|end|>\\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ '<|assistant|>\\n' + m['content'] + '<|end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
PHI4 = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '<|im_sep|>' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
OLMO2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ '<|system|>\\n' + m['content'] + '\\n' }}"
    "{% elif m['role'] == 'user' %}{{ '<|user|>\\n' + m['content'] + '\\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ '<|assistant|>\\n' + m['content'] + eos_token }}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}"
    "{% endif %}{% endfor %}"
)
SMOLLM3 = (
    "{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}"
    "{%- set mode = '/think' if enable_thinking else '/no_think' -%}"
    "{{- '<|im_start|>system\\n## Metadata\\n\\nKnowledge Cutoff Date: June 2025\\n' -}}"
    "{%- set today = strftime_now('%d %B %Y') -%}{{- 'Today Date: ' ~ today ~ '\\nReasoning Mode: ' + mode + '\\n\\n' -}}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- for m in messages -%}{%- if m.role == 'user' -%}{{ '<|im_start|>user\\n' + m.content + '<|im_end|>\\n' }}"
    "{%- elif m.role == 'assistant' -%}{% generation %}"
    "{%- if mode == '/think' -%}{{ '<|im_start|>assistant\\n' + m.content.lstrip('\\n') + '<|im_end|>\\n' }}"
    "{%- else -%}{{ '<|im_start|>assistant\\n<think>\\n\\n</think>\\n' + m.content.lstrip('\\n') + '<|im_end|>\\n' }}{%- endif -%}"
    "{% endgeneration %}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}"
    "{%- if mode != '/think' -%}{{ '<think>\\n\\n</think>\\n' }}{%- endif -%}{%- endif -%}"
)


@dataclass(frozen=True)
class Family:
    """How its repositories look."""

    kind: str
    """`model_type`, as transformers has it."""
    tokenizer: str
    """The class that its tokenizer_config.json names."""
    special: tuple[str, ...]
    named: dict[str, str]
    """bos_token, eos_token, pad_token, unk_token: those that it names."""
    template: str | None
    ends: str
    """What ends an answer."""
    pad: str | None
    """What we take for a pad."""
    pieces: bool = False
    """Tokens in the manner of SentencePiece, with bytes to fall back on; else bytes alone."""
    settings: tuple[tuple[str, Any], ...] = ()
    stops: tuple[str, ...] = ()
    """Ends of its generation config, where it has several."""


GROUPED = (("num_key_value_heads", 2), ("head_dim", 8))
FAMILIES = {
    "llama3": Family(
        "llama", "PreTrainedTokenizerFast",
        ("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}, LLAMA3, "<|eot_id|>", "<|finetune_right_pad_id|>",
        settings=(*GROUPED, ("tie_word_embeddings", True)), stops=("<|end_of_text|>", "<|eot_id|>"),
    ),
    "qwen3": Family(
        "qwen3", "Qwen2Tokenizer", ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, QWEN3, "<|im_end|>", "<|endoftext|>",
        settings=(*GROUPED, ("tie_word_embeddings", False)), stops=("<|im_end|>", "<|endoftext|>"),
    ),
    "gemma3": Family(
        "gemma3_text", "GemmaTokenizer", ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}, GEMMA3, "<end_of_turn>", "<pad>",
        pieces=True, settings=(*GROUPED, ("query_pre_attn_scalar", 8), ("sliding_window", 8)), stops=("<eos>", "<end_of_turn>"),
    ),
    "mistral": Family(
        "mistral", "LlamaTokenizer", ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}, MISTRAL, "</s>", "<unk>", pieces=True,
        settings=(*GROUPED, ("sliding_window", None)),
    ),
    "phi3": Family(
        "phi3", "LlamaTokenizer", ("<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"),
        {"bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<unk>"}, PHI3, "<|end|>",
        "<|endoftext|>", pieces=True, settings=(("num_key_value_heads", 4),), stops=("<|endoftext|>", "<|end|>"),
    ),
    "phi4": Family(
        "phi3", "GPT2Tokenizer", ("<|endoftext|>", "<|im_start|>", "<|im_sep|>", "<|im_end|>", "<|dummy_85|>"),
        {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|dummy_85|>"}, PHI4, "<|im_end|>", "<|dummy_85|>",
        settings=(("num_key_value_heads", 2),),
    ),
    "olmo2": Family(
        "olmo2", "GPT2Tokenizer", ("<|endoftext|>", "<|pad|>"),
        {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>", "unk_token": "<|endoftext|>"},
        OLMO2, "<|endoftext|>", "<|pad|>", settings=(("num_key_value_heads", 4),),
    ),
    "smollm3": Family(
        "smollm3", "PreTrainedTokenizerFast",
        ("<|end_of_text|>", "<|finetune_right_pad_id|>", "<|im_start|>", "<|im_end|>"),
        {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}, SMOLLM3, "<|im_end|>", "<|finetune_right_pad_id|>",
        settings=(("num_key_value_heads", 2), ("tie_word_embeddings", True)),
    ),
    "gpt2": Family(
        "gpt2", "GPT2Tokenizer", ("<|endoftext|>",), dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
        None, "<|endoftext|>", None,
    ),
}  # fmt: skip


def vocabulary(family: Family) -> dict[str, int]:
    """Specials first, then a token for each byte; for pieces also letters."""
    if family.pieces:
        letters = [chr(n) for n in range(33, 127)] + ["▁"]
        words = [f"<0x{n:02X}>" for n in range(256)] + ["\n", *letters]
    else:
        words = sorted(pre_tokenizers.ByteLevel.alphabet())
    return {word: n for n, word in enumerate(dict.fromkeys([*family.special, *words]))}


def fast(family: Family) -> Tokenizer:
    if family.pieces:
        made = Tokenizer(models.BPE(vocabulary(family), [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        made.normalizer = normalizers.Replace(" ", "▁")
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    else:
        made = Tokenizer(models.BPE(vocabulary(family), []))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(family.special))
    return made


def config_of(family: Family) -> Any:
    ids = {f"{name}_id": vocabulary(family)[token] for name, token in family.named.items() if name != "unk_token"}
    absent = {name: None for name in ("bos_token_id", "eos_token_id", "pad_token_id") if name not in ids}
    if family.kind == "gpt2":
        size: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
        size |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    else:
        size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        size |= {"max_position_embeddings": 512}
    shared = {"vocab_size": len(vocabulary(family)), "initializer_range": 0.1}
    return AutoConfig.for_model(family.kind, **size, **shared, **ids, **absent, **dict(family.settings))


def save_words(family: Family, folder: Path) -> None:
    """Tokenizer files and generation config, as they lie on the hub."""
    folder.mkdir(parents=True, exist_ok=True)
    fast(family).save(str(folder / "tokenizer.json"))
    known = vocabulary(family)
    told: dict[str, Any] = {"tokenizer_class": family.tokenizer, "model_max_length": 512, "clean_up_tokenization_spaces": False}
    told |= {**family.named, "added_tokens_decoder": {str(known[token]): {"content": token, "special": True} for token in family.special}}
    if family.template is not None:
        told["chat_template"] = family.template
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    stops = [known[stop] for stop in family.stops] or known[family.named["eos_token"]]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stops, "do_sample": True}))


def save(name: str, folder: Path, dtype: torch.dtype = torch.bfloat16, shards: bool = False) -> PreTrainedModel:
    """A repository of a family in `folder`, in bfloat16 as most are published; the model."""
    family = FAMILIES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_config(config_of(family)).to(dtype).eval()
    model.save_pretrained(folder, max_shard_size="30KB" if shards else "5GB")
    save_words(family, folder)
    return model


def seeing(folder: Path, make: Callable[[dict[str, Any]], PreTrainedModel], name: str) -> PreTrainedModel:
    """An image-text repository with the words of a family; the model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = make(config_of(FAMILIES[name]).to_dict()).eval()
    model.save_pretrained(folder)
    save_words(FAMILIES[name], folder)
    return model


def gemma3_seeing(text: dict[str, Any]) -> PreTrainedModel:
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    return Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4))


def qwen_seeing(text: dict[str, Any]) -> PreTrainedModel:
    kept = {k: v for k, v in text.items() if k not in ("model_type", "architectures", "head_dim", "rope_parameters")}
    kept["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
    vision = {"hidden_size": 16, "intermediate_size": 16, "depth": 1, "num_heads": 2, "out_hidden_size": 32}
    config = Qwen2_5_VLConfig(text_config={**kept, "model_type": "qwen2_5_vl_text"}, vision_config=vision, tie_word_embeddings=False)
    return Qwen2_5_VLForConditionalGeneration(config)
