"""A model of the true width with random weights and few layers, in place of one whose weights aren't here or are too many to try.

Cost grows by the same amount with each layer, so one and two of them tell what thirty cost; the words' matrices are there in both.
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from tutelage.models import weights
from tutelage.models.dressing import config_in, tokenizer_in
from tutelage.models.language import language_part
from tutelage.recipes.sources import Model

LISTS = ("layer_types", "no_rope_layers")
"""Fields of configs with an entry for each layer."""


def stand_in(model: Model, layers: int, folder: Path) -> Model:
    """Written into `folder`. Raises UserError for a model whose config or tokenizer can't be read."""
    assert model.path is not None
    config = config_in(model.path)
    part = language_part(config)
    config = part.config if part else config
    text = config.get_text_config()
    text.num_hidden_layers = layers
    for name in LISTS:
        if isinstance(kinds := getattr(text, name, None), list):
            setattr(text, name, kinds[:layers])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    weights.save(made, tokenizer_in(model.path), folder)
    return Model(path=folder)
