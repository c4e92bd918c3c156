"""From a file, or a command line, to a recipe: which tool it is of is told by its keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tutelage.core.errors import UserError
from tutelage.core.settings import Located, Place, Plain, read_yaml
from tutelage.recipes import recipe as recipes
from tutelage.recipes.moving import axolotl, llamafactory, page, trl
from tutelage.recipes.moving.account import Account
from tutelage.recipes.moving.result import Moved, Order

Format = Literal["axolotl", "llamafactory", "trl"]
FORMATS: tuple[Format, ...] = ("axolotl", "llamafactory", "trl")
MARKS: dict[Format, tuple[str, ...]] = {
    "axolotl": ("base_model", "micro_batch_size", "sequence_len", "num_epochs", "val_set_size"),
    "llamafactory": ("stage", "finetuning_type", "cutoff_len", "template", "dataset", "lora_rank"),
    "trl": ("dataset_name", "use_peft", "dataset_train_split", "datasets", "max_length"),
}
"""Keys that tell the three apart: the one with most of them is meant."""
NEWER = {"model", "train_dataset"}
"""What LLaMA-Factory's v1 trainer, which is asked for by USE_V1, always has."""


@dataclass(frozen=True)
class Import:
    """A recipe in words, before it is written."""

    moved: Moved
    text: str
    peer: str


def from_file(order: Order, format: Format | None) -> Import:
    """What the file asks for. Raises UserError for one that is broken, empty, of none of the three, or asks for what there isn't."""
    file = read_yaml(order.source)
    if file.tree is None:
        raise UserError(f"{order.source}: the file is empty")
    if not isinstance(file.tree, dict):
        raise UserError(f"{order.source}: expected keys and values, as in the configuration of Axolotl, LLaMA-Factory or TRL")
    format = format or told(file.tree, str(order.source))
    if format == "trl":
        which = f"write tutelage import trl sft --config {order.source} (or dpo, reward)"
        raise UserError(f"{order.source}: this file doesn't say which of TRL's trainers it is for; {which}")
    module = axolotl if format == "axolotl" else llamafactory
    account = Account(file, module.peer())
    return _checked(account, module.moved(account, order), str(order.source), order)


def from_command(words: Sequence[str], order: Order) -> Import:
    """What a command line of TRL asks for: `sft --model_name_or_path X ...`, with or without --config."""
    trainer, file = trl.command(words, "tutelage import trl")
    account = Account(file, trl.peer(trainer))
    processes = account.whole("num_processes")
    if processes:
        order = Order(order.source, order.out, processes)
        account.meant("num_processes", "it is a factor of the batch; run the recipe under torchrun with as many")
    at = Order(Path(file.name) if file.lines else order.source, order.out, order.gpus)
    return _checked(account, trl.moved(account, at, trainer), f"trl {' '.join(words)}", at)


def told(tree: dict[str, Plain], source: str) -> Format:
    """Of which tool the keys are."""
    if set(tree) >= NEWER:
        known = "its keys of v0.9 are (model_name_or_path, dataset, finetuning_type, ...)"
        raise UserError(f"{source}: the keys of LLaMA-Factory's v1 trainer (model, train_dataset, ...) are not known here; {known}")
    counts = {format: sum(key in tree for key in MARKS[format]) for format in FORMATS}
    best = max(FORMATS, key=lambda format: counts[format])
    if not counts[best] or list(counts.values()).count(counts[best]) > 1:
        wanted = ", ".join(f"{format} ({', '.join(keys[:3])}, ...)" for format, keys in MARKS.items())
        raise UserError(f"{source}: its keys are of none of {wanted}; say which it is with --format")
    return best


def _checked(account: Account, moved: Moved, source: str, order: Order) -> Import:
    """With every key accounted for, and every setting of a type and in a range that its stage takes."""
    if account.given("output_dir"):
        account.otherwise("output_dir", f"tutelage run {order.out} --out {account.value('output_dir')}")
    account.close()
    tree = page.nested(account.settings)
    stages = tree["stages"]
    assert isinstance(stages, dict)
    lines: dict[Place, int | str] = {place: line for place, line in account.lines.items() if account.file.lines}
    for name, settings in stages.items():
        assert isinstance(settings, dict)
        recipes.step(name, settings, account.file.name, lines)
    text = page.written(account, f"{source} ({account.peer.name})")
    Located(read_yaml(text, str(order.out)).tree, {}, str(order.out))
    return Import(moved, text, account.peer.name)
