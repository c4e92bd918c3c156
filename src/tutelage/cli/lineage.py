"""`tutelage lineage`: what was this made from."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.core.run import Run
from tutelage.recipes import lineage


def command(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    stage: Annotated[str, typer.Argument(help="One of its stages.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the stages, data and people behind a stage."""
    found = lineage.origin(Run.view(path), stage)
    if as_json:
        print(json.dumps(lineage.as_json(found), indent=1, ensure_ascii=False))
    else:
        screen.out.print(lineage.as_tree(found))
