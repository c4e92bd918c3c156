"""A role from disk: weights, head, and the prefix that was learnt beside them."""

from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from tutelage.models import adapters, weights
from tutelage.models.dressing import config_in
from tutelage.models.roles import Role
from tutelage.models.weights import PREFIX, PREFIX_TOKENS


def load_role(directory: Path, dtype: torch.dtype | None = None) -> tuple[Role, PreTrainedTokenizerFast]:
    """The frozen role that a stage left in `directory`. Raises UserError for a folder that isn't a whole model."""
    model, tokenizer = weights.load(directory, dtype, bare=True)
    head, prefix = weights.load_head(directory), getattr(model.config, PREFIX, None)
    if prefix is None:
        return Role(model, None, head), tokenizer
    return Role(adapters.load(model, directory / prefix, "policy"), "policy", head), tokenizer


def context(directory: Path) -> int:
    """Tokens that the model in `directory` can hold, besides its prefix."""
    config = config_in(directory)
    return int(getattr(config.get_text_config(), "max_position_embeddings", 1024)) - getattr(config, PREFIX_TOKENS, 0)
