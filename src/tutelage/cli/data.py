"""`tutelage data show`: what the model will see of a file, with the trained tokens in color."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from tutelage.cli import screen
from tutelage.core import readers
from tutelage.core.errors import UserError
from tutelage.core.text import Demonstration, Document, Message, Prompt

if TYPE_CHECKING:
    from tutelage.data.render import Renderer
    from tutelage.data.tree import Tree

app = typer.Typer(help="Look at data.", no_args_is_help=True, rich_markup_mode=None)
READERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    "demonstrations": readers.demonstrations,
    "preferences": readers.preferences,
    "prompts": readers.prompts,
    "documents": readers.documents,
}


@app.callback()
def group() -> None:
    """Look at data."""


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="Rows: .jsonl, .jsonl.gz or .parquet.")],
    model: Annotated[
        Path | None, typer.Option(help="A model folder: show tokens as it will see them, and figures of the whole file.")
    ] = None,
    kind: Annotated[str, typer.Option("--as", help="demonstrations, preferences, prompts or documents; else told by the fields.")] = "",
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 3,
) -> None:
    """Show the first rows of a file as Tutelage reads them; with --model, token by token."""
    name = kind or recognized(file)
    if name not in READERS:
        raise UserError(f"--as {name}: it is one of {', '.join(READERS)}")
    screen.say(f"{file}: read as {name}")
    if model:
        as_tokens(model, READERS[name](file), rows)
        return
    for number, row in enumerate(islice(READERS[name](file), rows), 1):
        screen.out.print(f"\n── {number} ──", style="bold")
        screen.out.print(plain(row), soft_wrap=True)


def recognized(file: Path) -> str:
    """The first kind that reads the file's first row. Raises the UserError of the last one where none does."""
    faults: list[UserError] = []
    for name, reader in ((n, READERS[n]) for n in ("preferences", "demonstrations", "documents", "prompts")):
        try:
            next(reader(file))
        except UserError as error:
            faults.append(error)
        else:
            return name
    raise faults[-1]


def plain(row: Any) -> Text:
    """A row as text, turn by turn; what would be trained in green."""
    if isinstance(row, Document):
        return Text(row.text, style="green")
    if isinstance(row, Prompt):
        return turns(row.messages)
    if isinstance(row, Demonstration):
        return turns(row.prompt.messages).append(f"\nassistant: {row.response.text}", style="green")
    prompt, (chosen, rejected), _ = row
    told = turns(prompt.messages).append(f"\nchosen: {chosen.text}", style="green")
    return told.append(f"\nrejected: {rejected.text}", style="red")


def turns(messages: tuple[Message, ...]) -> Text:
    """`role: text`, a line for each turn."""
    return Text("\n".join(f"{message.role}: {message.text}" for message in messages))


def as_tokens(model: Path, given: Iterator[Any], count: int) -> None:
    """The first rows as the model in that folder will see them, ends visible, and the figures of the whole file."""
    from tutelage.data import show
    from tutelage.data.render import Renderer
    from tutelage.models.dressing import config_in, tokenizer_in

    if not (model / "tokenizer_config.json").is_file():
        raise UserError(f"{model}: no tokenizer_config.json here; give a folder in transformers' format")
    renderer = Renderer(tokenizer_in(model))
    context = getattr(config_in(model).get_text_config(), "max_position_embeddings", None)
    made = [tree for row in given for tree in trees(renderer, row)]
    screen.out.print(show.rows(made, renderer, count))
    screen.out.print(show.table(show.statistics(made, context)))


def trees(renderer: "Renderer", row: Any) -> "list[Tree]":
    """The row as the trees that training would be given."""
    from tutelage.data.tree import Tree

    if isinstance(row, Document):
        return [renderer.document(row)]
    if isinstance(row, Prompt):
        return [Tree(renderer.prompt(row), ())]
    if isinstance(row, Demonstration):
        return renderer.demonstration(row)
    prompt, responses, _ = row
    return [renderer.tree(prompt, responses)]
