"""The language part of a checkpoint that also sees images: what is trained, and saved, as the causal model that it is.

    model.language_model.layers.0 ...          model.layers.0 ...
    language_model.model.layers.0 ...    ->    model.layers.0 ...
    vision_tower ..., visual ...               left out, and said

A stage reads text alone, so the towers of other senses would only take room, and a folder that vLLM and plain transformers load needs one
architecture that says what is in it: Gemma3ForConditionalGeneration is loaded and saved as Gemma3ForCausalLM, Qwen2.5-VL as
Qwen2ForCausalLM. Where a text model differs from a plain family's by its positions of image patches alone (Qwen's M-RoPE, arXiv 2409.12191
section 2.1: for text all three are the token's place), the plain family computes the same numbers; tests hold the logits equal.
"""

import re
from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tutelage.core.errors import UserError

PLAIN = {"qwen2_vl_text": "qwen2", "qwen2_5_vl_text": "qwen2", "qwen3_vl_text": "qwen3", "qwen3_vl_moe_text": "qwen3_moe"}
"""Text parts that have no causal model of their own, and the family that computes the same for text."""
RENAMED = {
    r"^language_model\.lm_head\.": "lm_head.",
    r"^language_model\.model\.": "model.",
    r"^model\.(language_model|text_model)\.": "model.",
}
"""Names of weights, as releases of transformers have written them."""
SEES = re.compile(r"(^|\.)(vision|visual|image|multi_modal|mm_|audio|embed_vision|embed_audio|connector|video)")
"""Weights of other senses."""


@dataclass(frozen=True)
class Part:
    """How a composite checkpoint is read as its text part."""

    config: PreTrainedConfig
    renamed: dict[str, str]
    whole: str
    """The architecture of the checkpoint."""


def language_part(config: PreTrainedConfig) -> Part | None:
    """The text part of a composite model; None for a model of text alone. Raises UserError where it has no causal model."""
    text = config.get_text_config(decoder=True)
    if text is config:
        return None
    whole = (config.architectures or [type(config).__name__])[0]
    family = PLAIN.get(text.model_type, text.model_type)
    if family not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(f"{whole}: its text part ({text.model_type}) is no causal language model of transformers by itself")
    return Part(_plain(text, family, config), RENAMED, whole)


def _plain(text: PreTrainedConfig, family: str, config: PreTrainedConfig) -> PreTrainedConfig:
    """The text part's config as that of a causal model; words are tied where the whole ties them."""
    if family != text.model_type:
        known = AutoConfig.for_model(family)
        said: dict[str, Any] = {name: value for name, value in text.to_dict().items() if name in known.to_dict() and name != "model_type"}
        rope = {key: value for key, value in (said.get("rope_parameters") or {}).items() if not key.startswith("mrope")}
        rope["rope_type"] = "default" if rope.get("rope_type") in (None, "mrope", "axial") else rope["rope_type"]
        rope.pop("type", None)
        text = AutoConfig.for_model(family, **{**said, "rope_parameters": rope})
    text.tie_word_embeddings = config.tie_word_embeddings
    text.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family]]
    return text


def left_out(unexpected: list[str]) -> tuple[list[str], list[str]]:
    """Names of weights that a model has no place for: (of other senses, others)."""
    return [name for name in unexpected if SEES.search(name)], [name for name in unexpected if not SEES.search(name)]
