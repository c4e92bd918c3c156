"""A small recipe made of the tiny stages, and how to write one down."""

from pathlib import Path

HERE = "tests.recipes.tiny_stages"
PAGE = f"""\
schema: 1
model: {{new: nano}}
inputs: {{text: synthetic:text}}
stages:
  base:  {{method: "{HERE}:Chain", data: text}}
  sft:   {{method: "{HERE}:Chain", init: base}}
  people: {{method: "{HERE}:Label", policy: sft}}
  judge: {{method: "{HERE}:Judge", preferences: people}}
  ppo:   {{method: "{HERE}:Chain", init: sft, rate: 0.03}}
  twin:  {{like: ppo, steps: 6}}
  last:  {{method: "{HERE}:Chain", init: twin}}
"""


def folder_model(folder: Path) -> str:
    """A folder that says how large its model is: all that planning reads, so that a command needs no torch; beside that, files that are
    whole and hold nothing, for stages that read none."""
    model = folder / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text('{"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}')
    (model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (model / "tokenizer.json").touch()
    return PAGE.replace("{new: nano}", str(model))


def page(folder: Path, text: str = PAGE) -> str:
    """A recipe file."""
    path = folder / "small.yaml"
    path.write_text(text)
    return str(path)
