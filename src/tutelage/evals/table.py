"""The results as a table on a terminal, with intervals: what `tutelage run` ends with."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.evals.findings import Findings, change, change_span, headline_stage, number, sentence, span


def show(found: Findings, console: Console) -> None:
    """The report's sentence, a row per measure, and what became of the effects that were expected.

    A narrow terminal first loses the stages' own intervals, then the stages that the sentence is not about; never a difference's.
    """
    main = headline_stage(found)
    few = [stage for stage in found.order if stage in (main, found.parent(main))]
    console.print(Text(sentence(found), style="bold"))
    tables = [table(found, found.order, True), table(found, found.order, False), table(found, few, True), table(found, few, False)]
    wide = console.options.update(max_width=10_000)
    console.print(next((t for t in tables if console.measure(t, options=wide).maximum <= console.width), tables[-1]))
    console.print(
        Text("95 % intervals, clustered by prompt or document; paired differences; not shown: the interval includes 0.", style="dim")
    )
    for judgement in found.judgements:
        word, color = {True: ("held", "green"), False: ("failed", "red"), None: ("not tested", "yellow")}[judgement.held]
        console.print(Text.assemble((f"{word}  ", color), judgement.claim.text(found.label), (f"  {judgement.reason}", "dim")))


def table(found: Findings, stages: list[str], intervals: bool) -> Table:
    main = headline_stage(found)
    parent = found.parent(main)
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column("", no_wrap=True)
    if parent:
        grid.add_column(Text(f"{found.label(main)} \u2212 {found.label(parent)}"), justify="right", no_wrap=True)
        grid.add_column("", no_wrap=True)
    for stage in stages:
        grid.add_column(Text(found.label(stage)), justify="right", style="bold" if stage == main else "", no_wrap=True)
    for name in found.measures:
        cells = difference(found, name, main, parent) if parent else []
        grid.add_row(Text(found.measures[name].title), *cells, *(cell(found, name, stage, intervals) for stage in stages))
    return grid


def difference(found: Findings, name: str, main: str, parent: str) -> list[Text]:
    c = found.comparison(name, main, parent)
    if c is None:
        return [Text(""), Text("")]
    measure = found.measures[name]
    color = {"better": "green", "worse": "red", "not shown": "dim"}[c.verdict]
    return [Text(f"{change(c, measure)} {c.verdict}", style=color), Text(change_span(c, measure), style="dim")]


def cell(found: Findings, name: str, stage: str, intervals: bool) -> Text:
    r = found.result(name, stage)
    if r is None:
        return Text("")
    figure = number(r.mean, r.measure)
    return Text.assemble(figure, (f"  {span(r.low, r.high, r.measure)}", "dim")) if intervals else Text(figure)
