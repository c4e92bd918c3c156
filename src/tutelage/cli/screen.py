"""What commands share on the screen: consoles, the display of progress, what a run holds."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.core.offline import go_offline
from tutelage.core.progress import Display, Lines, Progress
from tutelage.core.run import Run
from tutelage.core.settings import closest

out = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


Offline = Annotated[
    bool,
    typer.Option("--offline", callback=go_offline, help="Ask no hub: take what its cache has. TUTELAGE_OFFLINE=1 says the same."),
]
"""The flag of every command that may take a model by its hub id."""


@contextmanager
def progress() -> Iterator[Progress]:
    """A live line on a terminal, plain lines elsewhere; on stderr, so that stdout holds results only."""
    if notes.is_terminal:
        with Display(notes) as display:
            yield display
    else:
        yield Lines(sys.stderr)


def say(text: str) -> None:
    """A line of the answer, as it is."""
    out.print(escape(text), soft_wrap=True)


def note(text: str) -> None:
    """A line beside the answer, as it is."""
    notes.print(escape(text), soft_wrap=True)


def report_of(path: Path) -> tuple[Path, dict[str, Any]] | None:
    """The report that the run's current artifacts hold, if any: its folder and `report.json`."""
    found = [a for a in current(Run.view(path)).values() if (a.path / "report.json").exists()]
    last = max(found, key=lambda artifact: artifact.created, default=None)
    return (last.path, json.loads((last.path / "report.json").read_text())) if last else None


def current(opened: Run) -> dict[str, Artifact]:
    """The current artifact of each stage, by stage."""
    pairs = ((stage, opened.find(stage, hash_)) for stage, hash_ in opened.current().items())
    return {stage: artifact for stage, artifact in pairs if artifact}


def stage_of(path: Path, stage: str) -> Artifact:
    """The current artifact of one stage of a run. UserError (did you mean) where there is none."""
    made = current(Run.view(path))
    if stage not in made:
        raise UserError(f"{path}: no finished stage '{stage}'{closest(stage, made)}; finished are {', '.join(made) or 'none'}")
    return made[stage]


def scores(folder: Path) -> bool:
    """Whether the model in a folder scores texts and writes none."""
    return (folder / "score.json").is_file()
