"""`tutelage sft | reward | dpo | ppo | grpo MODEL DATA`: one stage on your files, as a recipe of one stage, written beside the result."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.cli.run import perform
from tutelage.core.settings import Plain, read_yaml, write_yaml
from tutelage.recipes import recipe as recipes

ModelArgument = Annotated[str, typer.Argument(help="A folder in transformers' format, or a hub id: Qwen/Qwen3-8B@REVISION.")]
Preferences = Annotated[
    str, typer.Argument(help="Preferences: chosen and rejected, another tool's export (.json, .jsonl, .parquet), or a store.")
]
Prompts = Annotated[str, typer.Argument(help="Prompts.")]
Rewards = Annotated[str, typer.Option(help="What rewards: a function of yours by import path, my.module:function.")]
Settings = Annotated[list[str] | None, typer.Argument(metavar="[SETTING=VALUE]...", help="Settings of the stage, e.g. epochs=1.")]
Out = Annotated[Path | None, typer.Option(help="The run directory; runs/COMMAND if not given.")]


def sft(
    model: ModelArgument,
    data: Annotated[str, typer.Argument(help="Demonstrations: .jsonl, .jsonl.gz or .parquet.")],
    settings: Settings = None,
    out: Out = None,
    offline: screen.Offline = False,
) -> None:
    """Fine-tune MODEL on demonstrations."""
    single("sft", model, {"demonstrations": data}, {"data": "demonstrations"}, settings, out)


def reward(model: ModelArgument, data: Preferences, settings: Settings = None, out: Out = None, offline: screen.Offline = False) -> None:
    """Train a reward model on preferences, beginning with MODEL."""
    single("reward", model, {"preferences": data, "demonstrations": None}, {"preferences": "preferences"}, settings, out)


def dpo(model: ModelArgument, data: Preferences, settings: Settings = None, out: Out = None, offline: screen.Offline = False) -> None:
    """Align MODEL to preferences directly, without a reward model."""
    single("dpo", model, {"preferences": data}, {"preferences": "preferences"}, settings, out)


def ppo(
    model: ModelArgument, data: Prompts, reward: Rewards, settings: Settings = None, out: Out = None, offline: screen.Offline = False
) -> None:
    """Train MODEL by PPO on prompts against a reward."""
    single("ppo", model, {"prompts": data}, {"prompts": "prompts", "reward_model": reward}, settings, out)


def grpo(
    model: ModelArgument, data: Prompts, reward: Rewards, settings: Settings = None, out: Out = None, offline: screen.Offline = False
) -> None:
    """Train MODEL by GRPO on prompts against a reward: each answer is measured by the others to its prompt."""
    single("grpo", model, {"prompts": data}, {"prompts": "prompts", "reward_model": reward}, settings, out)


def single(
    method: str, model: str, inputs: dict[str, str | None], fields: dict[str, str], settings: list[str] | None, out: Path | None
) -> None:
    """Write the recipe of one stage, check it as any other, run it."""
    tree: Plain = {
        "schema": 1,
        "model": model,
        "inputs": {**inputs},
        "stages": {method: {"method": method, "init": "model", **fields}},
    }
    page = read_yaml(write_yaml(tree), f"tutelage {method}")
    checked = recipes.check(page, method, [f"stages.{method}.{text}" for text in settings or []])
    perform(checked, out or Path("runs") / method)
