"""`tutelage import`: another tool's configuration as a recipe, with an account of every key."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.core.errors import UserError
from tutelage.recipes.moving import door, page
from tutelage.recipes.moving.account import Fate
from tutelage.recipes.moving.result import Order

SHOWN: tuple[Fate, ...] = ("lost", "otherwise", "carried")
LEAVE = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What typer is told, so that a command line of TRL can be pasted as it is."""


def command(
    source: Annotated[
        str, typer.Argument(help="A YAML file of Axolotl or LLaMA-Factory; or the word trl, and TRL's command line after it.")
    ],
    words: Annotated[list[str] | None, typer.Argument(metavar="[TRL ARGS]...", help="sft --config FILE --learning_rate 2e-5 ...")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the recipe is written; recipe.yaml if not given.")] = None,
    format: Annotated[str | None, typer.Option(help="axolotl, llamafactory or trl, where the keys don't tell.")] = None,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that the file was meant for: a factor of its batch.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Write over a recipe that is there.")] = False,
) -> None:
    """Write a recipe that runs what another tool's configuration asks for, and say what became of every key.

    tutelage import axolotl.yml | tutelage import llamafactory.yaml | tutelage import trl sft --model_name_or_path X --dataset_name Y
    """
    order = Order(Path(source), out or Path("recipe.yaml"), gpus)
    _refuse_unwritable(order.out, force)
    chosen = _format(format)
    if source == "trl" or (chosen == "trl" and words):
        made = door.from_command(words or [], Order(Path(), order.out, gpus))
    elif words:
        raise UserError(f"'{words[0]}' is one argument too many; a command line of TRL begins with the word trl")
    else:
        made = door.from_file(order, chosen)
    made.moved.write(order.out, made.text)
    tell(made, order)


def tell(made: door.Import, order: Order) -> None:
    """The account, what was lost first; then what to do next."""
    account = made.moved.account
    for fate in SHOWN:
        found = page.by_fate(account, fate)
        if found:
            screen.say(f"{page.HEADINGS[fate]} ({len(found)}):")
            for note in found:
                screen.say(f"  {page.sentence(note)}")
    unneeded = [note.key for note in page.by_fate(account, "unneeded") if note.given]
    if unneeded:
        screen.say(f"{page.HEADINGS['unneeded']} ({len(unneeded)}): {', '.join(unneeded)}")
    screen.say("")
    for path in (*made.moved.files, order.out):
        screen.say(f"Written: {path}")
    screen.say(f"\nWorth trying next:\n  tutelage plan {order.out}\n  tutelage run {order.out}")


def _format(given: str | None) -> door.Format | None:
    found: dict[str, door.Format] = {format: format for format in door.FORMATS}
    if given is not None and given not in found:
        raise UserError(f"--format {given}: there is {', '.join(found)}")
    return found[given] if given else None


def _refuse_unwritable(out: Path, force: bool) -> None:
    if out.suffix not in (".yaml", ".yml"):
        raise UserError(f"--out {out}: a recipe's name ends in .yaml")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    if out.exists() and not force:
        raise UserError(f"{out} is there already; give another name with --out, or --force to write over it")
