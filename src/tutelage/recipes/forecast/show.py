"""A forecast for people: a row for each stage, then the sums, and what else must be known."""

from collections.abc import Sequence

from rich.table import Table

from tutelage.core.progress import clock
from tutelage.recipes.plan import MEMORY_SPREAD, Forecast
from tutelage.recipes.wanted import amount


def table(rows: Sequence[Forecast]) -> Table:
    """Times and memory as ranges."""
    made = Table("stage", "method", "why", "tokens", "time", "memory", "disk", "by", box=None, header_style="bold")
    for row in rows:
        tokens = f"{row.tokens:,}" if row.tokens else "?"
        cost = (tokens, times(row.seconds, row.spread), memory(row), amount(row.disk) if row.disk else "", row.how)
        made.add_row(row.step.name, row.step.method, row.why or "whole", *(cost if row.why else ("",) * 5))
    known = [row for row in rows if row.why and row.seconds]
    if known:
        seconds = sum(row.seconds or 0.0 for row in known)
        spread = sum((row.seconds or 0.0) * row.spread for row in known) / seconds  # stages err alike: on one machine, of one model
        most = max((row for row in rows if row.memory), key=lambda row: row.memory or 0.0, default=None)
        disk = sum(row.disk or 0.0 for row in known)
        made.add_row("together", "", "", "", times(seconds, spread), memory(most) if most else "", amount(disk) if disk else "", "")
    return made


def notes(rows: Sequence[Forecast]) -> list[str]:
    """Lines below the table."""
    said = list(dict.fromkeys(row.note for row in rows if row.note))
    return [*said, *(line for row in rows if row.why for line in (row.people, row.bill) if line)]


def times(seconds: float | None, spread: float) -> str:
    """4:10 to 6:15."""
    if seconds is None:
        return "?"
    # As likely half as twice: a range of shares is one of factors.
    return f"{clock(seconds / (1 + spread))} to {clock(seconds * (1 + spread))}"


def memory(row: Forecast) -> str:
    if not row.memory:
        return "?"
    off = MEMORY_SPREAD[row.how or "arithmetic"]
    return f"{row.memory / (1 + off) / 2**30:.2f} to {row.memory * (1 + off) / 2**30:.2f} GiB"
