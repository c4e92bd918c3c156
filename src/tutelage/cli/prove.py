"""`tutelage prove`: every invariant on any objective, ours or an outsider's."""

from typing import Annotated, Any

import typer
from rich.table import Table

from tutelage.cli import screen
from tutelage.recipes import methods


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="dpo, or my.module:MyObjective; all of ours if none.")
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(help="Network shapes: llama, gpt2, qwen3, gemma3; llama and gpt2 if not given.")
    ] = None,
) -> None:
    """Measure the invariants of objectives, with and without LoRA; exit code 1 when one fails."""
    found = {name: methods.objective(name, "prove") for name in names or methods.objectives()}
    from tutelage.engine.invariants.bench import Bench
    from tutelage.engine.invariants.prove import prove

    benches = [Bench(shape=s, lora=lora) for s in shape or ("llama", "gpt2") for lora in (False, True)]
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
