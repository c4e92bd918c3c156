"""The results as a table on a terminal, with intervals: what `tutelage run` ends with. Made from `report.json` alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.evals.compare import Comparison
from tutelage.evals.eval import Measure
from tutelage.evals.findings import change, change_span, number, span

Plain = Mapping[str, Any]
"""A report.json as it was read."""


def show(report: Plain, console: Console) -> None:
    """The report's sentence, a row per measure, and what became of the effects that were expected.

    A narrow terminal first loses the stages' own intervals, then the stages that the sentence is not about; never a difference's.
    """
    every = list(report["labels"])
    few = [stage for stage in every if stage in (report["main"], report["parent"])]
    console.print(Text(report["sentence"], style="bold"))
    tables = [table(report, every, True), table(report, every, False), table(report, few, True), table(report, few, False)]
    wide = console.options.update(max_width=10_000)
    console.print(next((t for t in tables if console.measure(t, options=wide).maximum <= console.width), tables[-1]))
    console.print(
        Text("95 % intervals, clustered by prompt or document; paired differences; not shown: the interval includes 0.", style="dim")
    )
    for claim in report["expected"]:
        word, color = {True: ("held", "green"), False: ("failed", "red"), None: ("not tested", "yellow")}[claim["held"]]
        console.print(Text.assemble((f"{word}  ", color), claim["claim"], (f"  {claim['reason']}", "dim")))


def table(report: Plain, stages: Sequence[str], intervals: bool) -> Table:
    """A row per measure: the main stage's difference from its parent, then `stages`, with their intervals or without."""
    main, parent, labels = report["main"], report["parent"], report["labels"]
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column("", no_wrap=True)
    if parent:
        grid.add_column(Text(f"{labels[main]} \u2212 {labels[parent]}"), justify="right", no_wrap=True)
        grid.add_column("", no_wrap=True)
    for stage in stages:
        grid.add_column(Text(labels[stage]), justify="right", style="bold" if stage == main else "", no_wrap=True)
    for name, plain in report["measures"].items():
        measure = Measure(**plain)
        cells = difference(report, measure, main, parent) if parent else []
        row = report["evals"][name]
        grid.add_row(Text(measure.title), *cells, *(cell(row.get(stage), measure, intervals) for stage in stages))
    return grid


def difference(report: Plain, measure: Measure, main: str, parent: str) -> list[Text]:
    """`main` - `parent` as two cells: the difference with its verdict, and its interval; empty where they weren't compared."""
    plain = next((c for c in report["comparisons"] if (c["eval"], c["a"], c["b"]) == (measure.name, main, parent)), None)
    if plain is None:
        return [Text(""), Text("")]
    c = Comparison(**{**plain, "low": bound(plain["low"]), "high": bound(plain["high"])})
    color = {"better": "green", "worse": "red", "not shown": "dim"}[c.verdict]
    return [Text(f"{change(c, measure)} {c.verdict}", style=color), Text(change_span(c, measure), style="dim")]


def cell(figures: Plain | None, measure: Measure, intervals: bool) -> Text:
    if figures is None:
        return Text("")
    figure = number(figures["mean"], measure)
    words = span(bound(figures["low"]), bound(figures["high"]), measure)
    return Text.assemble(figure, (f"  {words}", "dim")) if intervals else Text(figure)


def bound(value: float | None) -> float:
    """An interval's end; there is none where one item was measured."""
    return math.nan if value is None else value
