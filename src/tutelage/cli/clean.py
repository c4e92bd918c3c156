"""`tutelage clean`: earlier artifacts, which stay under their hash until somebody says so."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.core.artifact import FILE
from tutelage.core.run import Run


def command(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it only what would be deleted is shown.")] = False,
) -> None:
    """Delete earlier artifacts that nothing current was made from."""
    with Run.open(path) as opened:
        kept = above(opened)
        old = [artifact for artifact in opened.artifacts() if artifact.hash not in kept]
        for artifact in old:
            size = sum(file.stat().st_size for file in artifact.path.rglob("*") if file.is_file())
            screen.say(f"{artifact.path.name}  {size / 2**20:,.1f} MiB  made {artifact.created}")
            if yes:
                (artifact.path / FILE).unlink()  # first: a kill then leaves nothing that looks whole
                shutil.rmtree(artifact.path)
    if not old:
        screen.say("Nothing to delete: every artifact is in use.")
    elif not yes:
        screen.say("Nothing was deleted; add --yes to delete these.")


def above(opened: Run) -> set[str]:
    """Hashes of the current artifacts and of everything that they were made from."""
    made = {artifact.hash: artifact for artifact in opened.artifacts()}
    todo, seen = list(opened.current().values()), set[str]()
    while todo:
        hash_ = todo.pop()
        if hash_ not in seen:
            seen.add(hash_)
            todo += made[hash_].parents.values() if hash_ in made else []
    return seen
