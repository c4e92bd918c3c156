"""`tutelage data show`: what the model will see of a file, with the trained tokens in color."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tutelage.cli import screen
from tutelage.core import readers
from tutelage.core.errors import UserError
from tutelage.core.text import Demonstration, Document, Message, Prompt

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
    model: Annotated[Path | None, typer.Option(help="A model folder: show tokens as it will see them, trained ones in green.")] = None,
    kind: Annotated[str, typer.Option("--as", help="demonstrations, preferences, prompts or documents; else told by the fields.")] = "",
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 3,
) -> None:
    """Show the first rows of a file as Tutelage reads them; with --model, token by token."""
    name = kind or recognized(file)
    if name not in READERS:
        raise UserError(f"--as {name}: it is one of {', '.join(READERS)}")
    screen.say(f"{file}: read as {name}")
    draw = tokens(model) if model else plain
    for number, row in enumerate(islice(READERS[name](file), rows), 1):
        screen.out.print(f"\n── {number} ──", style="bold")
        screen.out.print(draw(row), soft_wrap=True)
    if model:
        screen.say("\nGreen: trained. Everything else is only read.")


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


def tokens(model: Path) -> Callable[[Any], Text]:
    """How a row looks to the model in that folder: each token once, trained ones in green, ends visible."""
    from transformers import AutoTokenizer

    from tutelage.data.render import Renderer

    if not (model / "tokenizer_config.json").is_file():
        raise UserError(f"{model}: no tokenizer_config.json here; give a folder in transformers' format")
    tokenizer = AutoTokenizer.from_pretrained(str(model))
    renderer = Renderer(tokenizer)

    def piece(ids: tuple[int, ...], writers: tuple[int, ...]) -> Text:
        words = Text()
        for number, writer in zip(ids, writers, strict=True):
            words.append(tokenizer.decode([number]) + "·", style="green" if writer else "bright_black")
        return words

    def draw(row: Any) -> Text:
        made = Text()
        for tree in trees(renderer, row):
            made.append_text(piece(tree.prompt, tree.prompt_writers))
            for ids, writers in zip(tree.responses, tree.writers, strict=True):
                made.append("\n").append_text(piece(ids, writers))
        return made

    return draw


def trees(renderer: Any, row: Any) -> list[Any]:
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
