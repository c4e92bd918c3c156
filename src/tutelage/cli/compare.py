"""`tutelage compare`: A against B with intervals, from the run's report."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tutelage.cli import screen
from tutelage.core.errors import UserError
from tutelage.core.settings import closest


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
    rows = [turned(c, a) for c in plain["comparisons"] if {c["a"], c["b"]} == {a, b} and not c.get("family")]
    if not rows:
        raise UserError(f"{path}: {a} and {b} were evaluated but not compared; give both in `models` of one evaluate stage")
    table = Table("", f"{a} - {b}", "items", box=None, header_style="bold")
    for row in rows:
        table.add_row(row["eval"], screen.cell({**row, "mean": row["difference"]}), f"{row['n']:,}")
    screen.out.print(table)


def turned(row: dict, a: str) -> dict:
    """The comparison with `a` first."""
    if row["a"] == a:
        return row
    low, high = (None if row[end] is None else -row[end] for end in ("high", "low"))
    return {**row, "a": a, "b": row["a"], "difference": -row["difference"], "low": low, "high": high}
