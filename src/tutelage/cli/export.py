"""`tutelage export`: a stage for others, and, asked first, onto a hub."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.core.errors import UserError
from tutelage.core.run import Run
from tutelage.recipes.wanted import Dtype, Exported, Form, Wanted, amount


def command(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    stage: Annotated[str, typer.Argument(help="One of its stages that trains a model.")],
    to: Annotated[Path, typer.Option(help="The folder to make.")],
    form: Annotated[Form, typer.Option("--as", help="transformers' folder, the adapter alone, or one file for llama.cpp.")] = "plain",
    dtype: Annotated[Dtype, typer.Option(help="What weights are rounded to. saved: as they are; q8_0: gguf only.")] = "bf16",
    shard_size: Annotated[str, typer.Option(help="Largest file of weights, of plain and merged.")] = "5GB",
    base: Annotated[str, typer.Option(help="Of an adapter: the hub id or folder of what lies beneath it.")] = "",
    commercial: Annotated[bool, typer.Option("--commercial", help="Refuse what came from a non-commercial or unknown license.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    push: Annotated[str, typer.Option(metavar="OWNER/NAME", help="Upload it to this repository of the hub; asks first.")] = "",
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public; it is private otherwise.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before uploading.")] = False,
) -> None:
    """Write a stage as a folder that others can load, with a model card."""
    from tutelage.recipes import exporting  # late: it brings the hub's client

    if push:
        from tutelage.recipes import pushing

        pushing.check(push)
    wanted = Wanted(form, dtype, shard_size, base, commercial, force)
    done = exporting.export(Run.view(path), stage, to, wanted)
    tell(done)
    if push:
        upload(done, push, public, yes)


def tell(done: Exported) -> None:
    """What was written."""
    for note in done.notes:
        screen.notes.print(note, soft_wrap=True, markup=False)
    for name, size in done.files.items():
        screen.say(f"{amount(size):>12}  {name}")
    screen.say(f"{amount(sum(done.files.values())):>12}  in {done.path}")


def upload(done: Exported, push: str, public: bool, yes: bool) -> None:
    """Show what would leave this machine, ask, send."""
    from tutelage.recipes import pushing

    where = pushing.look(push, public)
    screen.say(f"\nTo {where.host}, repository {push} ({where.state}): {len(done.files)} files, {amount(sum(done.files.values()))}.")
    if not yes and not screen.notes.is_terminal:
        raise UserError(f"nothing was uploaded: there is nobody to ask here; say --yes to upload {done.path}")
    if not yes and not typer.confirm("Upload?"):
        screen.say("Nothing was uploaded.")
        return
    screen.say(f"Uploaded: {pushing.push(where, done.path)}")
