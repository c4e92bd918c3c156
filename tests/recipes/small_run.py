"""A real run of stages on a folder's model with a BPE tokenizer, small enough to be trained in seconds: what exports are made from."""

import json
from pathlib import Path

import torch

from tutelage.core.run import Run
from tutelage.models import create, weights
from tutelage.models.create import Dimensions
from tutelage.models.tokenizer import bpe
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

TEXTS = [
    "Once upon a time a fox didn't like the rain, and it's 2024!",
    "def f(x):\n    return x + 12345\n",
    "ÄÖÜ straße 😀 東京  tabs\t\tand   spaces ",
]
SIZE = Dimensions(width=32, layers=2, heads=2, ffn=64, context=128, spread=0.2)
PAGE = """\
schema: 1
model: {model}
inputs: {{demonstrations: {folder}/shown.jsonl, preferences: {folder}/chosen.jsonl}}
licenses: {licenses}
stages:
  sft:    {{method: sft, data: demonstrations, epochs: 1, step_tokens: 256}}
  lora:   {{like: sft, init: sft, adapter: {{rank: 2}}}}
  onto:   {{like: sft, adapter: {{rank: 2}}}}
  prefix: {{like: sft, adapter: {{kind: prefix, tokens: 4}}}}
  judge:  {{method: reward, init: sft, preferences: preferences}}
"""
LICENSES = "{demonstrations: cc-by-4.0, preferences: own, model: apache-2.0}"


def model(folder: Path, shape: create.Shape = "llama") -> Path:
    """A model's folder, with weights that are not those of a fresh one anywhere."""
    tokenizer = bpe(TEXTS * 4, 320)
    made = create.new(SIZE, tokenizer, seed=1, shape=shape)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) * 0.05)
    weights.save(made, tokenizer, folder)
    return folder


def page(folder: Path, licenses: str = LICENSES) -> str:
    """The recipe's file, with its inputs and its model beside it."""
    shown = [{"prompt": f"Say the number {n}.", "completion": f"It is {n}, twice {2 * n}."} for n in range(20)]
    chosen = [{"prompt": row["prompt"], "chosen": row["completion"], "rejected": "No."} for row in shown]
    for name, rows in (("shown", shown), ("chosen", chosen)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if not (folder / "base").is_dir():
        model(folder / "base")
    path = folder / "small.yaml"
    path.write_text(PAGE.format(model=folder / "base", folder=folder, licenses=licenses))
    return str(path)


def finished(folder: Path) -> Run:
    """The run, made."""
    run(load(page(folder)), folder / "run")
    return Run.view(folder / "run")
