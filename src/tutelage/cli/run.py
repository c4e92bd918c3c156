"""`tutelage run`: the pipeline, or what is missing of it."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.engine.ranks import ranks
from tutelage.evals import table
from tutelage.recipes import base, rows, runner
from tutelage.recipes import plan as planning
from tutelage.recipes import recipe as recipes
from tutelage.recipes.door import Address, Door
from tutelage.recipes.forecast import show

LONG = 600.0
"""Seconds of work from which on the plan is shown first."""


def command(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe (instructgpt, assistant, calibrate) or a file ending in .yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH=VALUE]...", help="Settings, by their path in the recipe: stages.ppo.kl_coef=0.1")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/RECIPE if not given.")] = None,
    inexact: Annotated[bool, typer.Option("--inexact", help="Go on with a run begun on another processor or torch.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Also make again what other code made.")] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Don't wait for more people: go on with the answers that are there.")] = False,
    host: Annotated[str, typer.Option(help="Where a stage that waits for people listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: any that is free.")] = 8000,
    url: Annotated[str, typer.Option(help="What links begin with behind a proxy: https://label.example.org")] = "",
    offline: screen.Offline = False,
) -> None:
    """Run a recipe: what is missing of it, or what changed.

    Stopped or killed, the same command goes on where it was. Several processes share the training stages under torchrun:
    torchrun --nproc-per-node 2 -m tutelage run RECIPE.
    """
    checked = recipes.load(recipe, overrides or [])
    perform(checked, out or Path("runs") / checked.name, inexact, strict, Door(Address(host, port, url), accept))


def perform(checked: recipes.Recipe, out: Path, inexact: bool = False, strict: bool = False, door: Door | None = None) -> None:
    """Plan, run and close: what every command that trains does."""
    if ranks().rank:  # the first process checks, tells and closes for all
        runner.run(checked, out, inexact=inexact, strict=strict)
        return
    checked = base.looked_up(checked, out, screen.note)
    forecast = planning.forecast(checked, out, strict)
    rows.check_rows(checked, [row.step for row in forecast if row.why])
    planning.check_memory(checked, forecast)
    if sum(row.seconds or 0.0 for row in forecast) > LONG:
        screen.notes.print(show.table(forecast))
    if any(row.why for row in forecast):
        checked = base.fetched(checked, screen.note)  # before the live line begins, which the hub's own bars would break
    with screen.progress() as shown:
        outcome = runner.run(checked, out, shown, inexact, strict, door)
    close(outcome)


def close(outcome: runner.Outcome) -> None:
    """What was made, one sentence, the results, where the report is, three commands worth trying."""
    if not outcome.ran:
        screen.say(f"Nothing to do: all {len(outcome.artifacts)} stages in {outcome.path} are whole.")
    fresh = [stage for stage, why in outcome.ran.items() if why == runner.NEW]
    if fresh:
        screen.say(f"made: {', '.join(fresh)}")
    for stage, why in outcome.ran.items():
        if why != runner.NEW:
            screen.say(f"{stage}: {why}")
    found = screen.report_of(outcome.path)
    if found:
        folder, plain = found
        screen.say("")
        table.show(plain, screen.out)
        screen.say(f"\nReport: {folder / 'report.html'}")
    screen.say("\nWorth trying next:")
    for line in following(outcome, found is not None):
        screen.say(f"  {line}")


def following(outcome: runner.Outcome, reported: bool) -> list[str]:
    """Commands for a run that has just been made: talk to its last model that writes, see where the last one came from, and the report."""
    path, trained = outcome.path, [a for a in reversed(list(outcome.artifacts.values())) if (a.path / "model").is_dir()]
    writing = [f"tutelage chat {path} {a.stage}" for a in trained if not screen.scores(a.path / "model")]
    made = [f"tutelage lineage {path} {a.stage}" for a in trained]
    return [*writing[:1], *made[:1], f"tutelage report {path} --open" if reported else f"tutelage clean {path}"]
