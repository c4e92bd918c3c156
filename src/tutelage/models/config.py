"""What a model's folder says of itself in config.json, read without torch, so that plans and checks needn't wait for it."""

import json
from pathlib import Path
from typing import Any

from tutelage.core.errors import UserError

CONFIG = "config.json"
WIDTH, LAYERS, HIDDEN = ("hidden_size", "n_embd"), ("num_hidden_layers", "n_layer"), ("intermediate_size", "n_inner")
WORDS, CONTEXT = ("vocab_size",), ("max_position_embeddings", "n_positions")
"""A size by the names that families have for it; the second are GPT-2's."""


def plain_config(folder: Path) -> dict[str, Any]:
    """The file's JSON object. UserError for a file that is cut off, no object, or says no model_type."""
    file = folder / CONFIG
    try:
        found = json.loads(file.read_bytes())
    except OSError as problem:
        raise UserError(f"{file} can't be read ({problem.strerror}); give a folder that transformers can load") from problem
    except ValueError as problem:
        raise UserError(f"{file} can't be read as JSON ({problem}); copy the model's folder again") from problem
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise UserError(f'{file} is no model\'s: it holds no object with a model_type, such as {{"model_type": "llama", ...}}')
    if not isinstance(found.get("text_config") or {}, dict):
        raise UserError(f"{file}: text_config: expected the settings of the model's language part, got {found['text_config']!r}")
    return found


def number_in(folder: Path, *names: str) -> int | None:
    """A size that config.json says by one of `names` (of an image-text model, which is trained as its language part, of that); of
    sizes by layer the largest. None where it says none of them, UserError for what is no size."""
    whole = plain_config(folder)
    config = whole.get("text_config") or whole
    name = next((name for name in names if config.get(name) is not None), None)
    if name is None:
        return None
    sizes = config[name] if isinstance(config[name], list) else [config[name]]
    if not sizes or any(type(size) is not int or size < 1 for size in sizes):
        raise UserError(f"{folder / CONFIG}: {name}: expected a whole number of 1 or more, got {config[name]!r}")
    return max(sizes)
