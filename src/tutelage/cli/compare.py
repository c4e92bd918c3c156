"""`tutelage compare`: A against B with intervals, from the run's report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tutelage.cli import screen
from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.evals.eval import Measure
from tutelage.evals.table import difference


def command(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory with a finished `evaluate` stage.")],
    a: Annotated[str, typer.Argument(help="A stage.")],
    b: Annotated[str, typer.Argument(help="Another stage.")],
) -> None:
    """Show A - B for every eval, paired on the same items, with intervals."""
    found = screen.report_of(path)
    if found is None:
        raise UserError(f"{path}: no finished stage has a report; run a recipe with a stage `method: evaluate`")
    plain = found[1]
    measured = list(dict.fromkeys(stage for row in plain["evals"].values() for stage in row))
    for name in (a, b):
        if name not in measured:
            raise UserError(f"{path}: '{name}' was not evaluated{closest(name, measured)}; evaluated were {', '.join(measured)}")
    rows = [c for c in plain["comparisons"] if {c["a"], c["b"]} == {a, b} and not c["family"]]
    if not rows:
        raise UserError(f"{path}: {a} and {b} were evaluated but not compared; give both in `models` of one evaluate stage")
    grid = Table("", f"{plain['labels'][a]} \u2212 {plain['labels'][b]}", "", "items", box=None, header_style="bold")
    for row in rows:
        measure = Measure(**plain["measures"][row["eval"]])
        grid.add_row(measure.title, *difference({**plain, "comparisons": [turned(row, a, measure)]}, measure, a, b), f"{row['n']:,}")
    screen.out.print(grid)


def turned(row: Mapping[str, Any], a: str, measure: Measure) -> dict[str, Any]:
    """The comparison with `a` first. A share x of the one is 1 / (1 + x) - 1 of the other."""
    if row["a"] == a:
        return dict(row)

    def other(value: float | None) -> float | None:
        return None if value is None else 1 / (1 + value) - 1 if measure.scale == "log" else -value

    verdict = {"better": "worse", "worse": "better"}.get(row["verdict"], row["verdict"])
    ends = {"low": other(row["high"]), "high": other(row["low"])}
    return {**row, "a": a, "b": row["a"], "difference": other(row["difference"]), **ends, "verdict": verdict}
