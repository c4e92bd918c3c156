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


def page(folder: Path, text: str = PAGE, **changes: str) -> str:
    """A recipe file, with pieces of its text replaced: page(tmp, old="new")."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "small.yaml"
    path.write_text(text)
    return str(path)
