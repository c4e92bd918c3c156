"""`tutelage prove`: every invariant on any objective, ours or an outsider's."""

from typing import Annotated, Any

import typer
from rich.table import Table

from tutelage.cli import screen
from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.recipes import methods


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="dpo, or my.module:MyObjective; all of ours if none.")
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(help="Network shapes: llama, gpt2, qwen3, gemma3, mistral, ...; llama and gpt2 if not given.")
    ] = None,
    adapter: Annotated[list[str] | None, typer.Option(help="Adapters: none, lora, dora; none and lora if not given.")] = None,
) -> None:
    """Measure the invariants of objectives, bare and with adapters; exit code 1 when one fails."""
    found = {name: methods.objective(name, "prove") for name in names or methods.objectives()}
    from tutelage.engine.invariants.bench import ADAPTERS, SHAPES, Bench
    from tutelage.engine.invariants.prove import prove

    shapes, adapters = (shape or ["llama", "gpt2"], adapter or ["none", "lora"])
    for given, known, option in ((shapes, SHAPES, "--shape"), (adapters, ("none", *ADAPTERS), "--adapter")):
        strange = [name for name in given if name not in known]
        if strange:
            raise UserError(f"{option} {strange[0]}: known are {', '.join(known)}{closest(strange[0], known)}")
    benches = [Bench(shape=s, adapter=a.replace("none", "")) for s in shapes for a in adapters]
    table = Table("objective", "invariant", "network", "error", "bound", "", box=None, header_style="bold")
    held = True
    for name, cls in found.items():
        for outcome in prove(cls(), benches):
            held = held and outcome.holds
            table.add_row(name, *row(outcome))
    screen.out.print(table)
    if not held:
        raise typer.Exit(1)


def row(outcome: Any) -> tuple[str, str, str, str, str]:
    """What was measured, in words."""
    verdict = "holds" if outcome.holds else f"FAILS {outcome.note}".strip()
    return outcome.name, outcome.bench, f"{outcome.error:.1e}", f"{outcome.bound:.0e}", verdict
