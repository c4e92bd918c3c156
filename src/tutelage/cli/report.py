"""`tutelage report`: the results of a run, again."""

import json
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.core.errors import UserError
from tutelage.evals import table


def command(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Print a run's results and where its page is."""
    found = screen.report_of(path)
    if found is None:
        raise UserError(f"{path}: no finished stage has a report; run a recipe with a stage `method: evaluate`")
    folder, plain = found
    page = folder / "report.html"
    if as_json:
        print(json.dumps(plain, indent=1, ensure_ascii=False))
        return
    table.show(plain, screen.out)
    screen.say(f"\nReport: {page}")
    if show:
        webbrowser.open(page.resolve().as_uri())
