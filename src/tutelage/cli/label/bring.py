"""`tutelage label import`: annotations of another tool into a store, all of a file or nothing of it."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tutelage.cli import screen
from tutelage.core.errors import UserError
from tutelage.core.rows import Row, read_rows
from tutelage.feedback import foreign, tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.foreign import Imported
from tutelage.feedback.given import Given
from tutelage.feedback.store import Store

SHOWN, WIDTH = 3, 100
Names = list[str] | None


def command(
    file: Annotated[Path, typer.Argument(help="What another tool exported: .json, .jsonl (.gz), .parquet.")],
    store: Annotated[str, typer.Option(help="The store that takes them: a path, or a postgresql:// URL. Made where there is none.")] = "",
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(foreign.names())}; else told by the first row.")] = "",
    prompt: Annotated[Names, typer.Option(help="A field of the prompt, where its name doesn't say so; may be repeated.")] = None,
    responses: Annotated[Names, typer.Option(help="A field of a response, in order; may be repeated.")] = None,
    without: Annotated[Names, typer.Option(help="A question to leave out; may be repeated.")] = None,
    items: Annotated[Path | None, typer.Option(help="Rows of what was judged, by id, where the export lacks it (Potato).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, show three, write nothing.")] = False,
) -> None:
    """Take FILE's annotations into a store. Importing a file again changes nothing."""
    if not store and not dry_run:
        raise UserError(
            "--store: name the store that takes the annotations, for example --store study.sqlite; or look first, with --dry-run"
        )
    given = Given(tuple(prompt or ()), tuple(responses or ()), tuple(without or ()), _items(items))
    found = foreign.read(file, form, given)
    if not (found.annotations or found.repeats):
        raise UserError(f"{file}: read as {found.format}, but nothing in it is an annotation ({_passed(found) or 'no answers'})")
    for annotation in found.annotations[:SHOWN]:
        screen.out.print(shown(annotation), soft_wrap=True)
    screen.say(told(file, found))
    if dry_run:
        screen.say("Nothing was written (--dry-run).")
        return
    new = Store(store).append(found.annotations, "import", found.repeats)
    read = len(found.annotations) + len(found.repeats)
    screen.say(f"{store}: {read:,} read, {new:,} added, {read - new:,} there already.")


def told(file: Path, found: Imported) -> str:
    """What a file held, in one sentence."""
    everything = [*found.annotations, *found.repeats]
    kinds = Counter(a.task if a.aspect == "overall" else f"{a.task} of {a.aspect}" for a in everything)
    people = len({a.annotator for a in everything})
    made = ", ".join(f"{n:,} {task}" for task, n in kinds.most_common())
    rest = f" Passed over: {_passed(found)}." if found.passed else ""
    by = f"{people} annotator{'s' if people != 1 else ''}"
    again = f" Repeats among them: {n:,} (the same person said the same of the same again)." if (n := len(found.repeats)) else ""
    return f"{file}: read as {found.format}; {found.rows:,} rows, {len(everything):,} annotations by {by} ({made}).{again}{rest}"


def shown(annotation: Annotation) -> Text:
    """An annotation for the eye: what was asked, what was answered, who said what of it."""
    a = annotation
    text = Text(f"{a.prompt.messages[-1].role}: {short(a.prompt.last)}\n")
    for place, response in enumerate(a.responses):
        text.append(f"  {chr(ord('A') + place)}  {short(response.text)}{f'  ({short(response.by)})' if response.by else ''}\n", style="dim")
    said = tasks.answer_of(a).said(tuple(range(len(a.responses))))
    text.append(f"  {a.annotator}: {short(said)}{'' if a.aspect == 'overall' else f' ({a.aspect})'}\n", style="green")
    return text


def short(text: str) -> str:
    """One line of what a terminal can show without harm: marks that move the cursor or turn the text around stand as a dot."""
    start = " ".join(text[: 4 * WIDTH].split())
    line = "".join(letter if letter.isprintable() else "\u00b7" for letter in start)
    return line if len(line) <= WIDTH and len(text) <= 4 * WIDTH else line[:WIDTH] + "\u2026"


def _passed(found: Imported) -> str:
    return "; ".join(f"{n:,} {why}" for why, n in found.passed.items())


def _items(path: Path | None) -> dict[str, Row]:
    rows = read_rows(path) if path else ()
    made: dict[str, Row] = {}
    for number, row in rows:
        if "id" not in row:
            raise UserError(f"{path}:{number}: the field 'id' is missing; items are told by it")
        made[str(row["id"])] = row
    return made
