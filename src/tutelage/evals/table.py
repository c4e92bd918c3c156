"""The results as a table on a terminal, with intervals: what `tutelage run` ends with."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.evals.findings import Findings, change, change_span, headline_stage, number, sentence, span


def show(found: Findings, console: Console) -> None:
    """The report's sentence, then a row per measure: the difference first, then each stage. Narrow terminals get fewer intervals."""
    console.print(Text(sentence(found), style="bold"))
    console.print(table(found, intervals=console.width >= 24 + 22 + 18 * len(found.order)))


def table(found: Findings, intervals: bool = True) -> Table:
    main = headline_stage(found)
    parent = found.parent(main)
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", caption_style="dim", caption_justify="left")
    grid.add_column("")
    if parent:
        grid.add_column(Text(f"{found.label(main)} against {found.label(parent)}"), justify="right")
    for stage in found.order:
        grid.add_column(Text(found.label(stage)), justify="right", style="bold" if stage == main else "")
    for name in found.measures:
        cells = [difference(found, name, main, parent)] if parent else []
        grid.add_row(Text(found.measures[name].title), *cells, *(cell(found, name, stage, intervals) for stage in found.order))
    grid.caption = "95 % intervals, clustered by prompt or document; paired differences; not shown: the interval includes 0."
    return grid


def difference(found: Findings, name: str, main: str, parent: str) -> Text:
    c = found.comparison(name, main, parent)
    if c is None:
        return Text("")
    measure = found.measures[name]
    color = {"better": "green", "worse": "red", "not shown": "dim"}[c.verdict]
    return Text.assemble((f"{change(c, measure)} {c.verdict}", color), (f"  {change_span(c, measure)}", "dim"))


def cell(found: Findings, name: str, stage: str, intervals: bool) -> Text:
    r = found.result(name, stage)
    if r is None:
        return Text("")
    figure = number(r.mean, r.measure)
    return Text.assemble(figure, (f"  {span(r.low, r.high, r.measure)}", "dim")) if intervals else Text(figure)
