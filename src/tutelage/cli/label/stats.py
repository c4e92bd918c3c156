"""`tutelage label stats`: how far people agree, who needs guidance, and what it costs."""

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tutelage.cli import screen
from tutelage.cli.label.reading import gathered
from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic
from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.people import Person
from tutelage.feedback.agreement.summary import Question, Summary, summarize
from tutelage.feedback.agreement.tables import hours_csv, reliability_csv

AGREEMENT = {
    "agreement": "agreement",
    "preferring": "agreement, ties left out",
    "ceiling": "most a model can reach on single labels",
    "alpha": "Krippendorff's alpha",
    "alpha_ordinal": "alpha, ordinal",
    "alpha_interval": "alpha, interval",
    "kappa": "Cohen's kappa",
    "kappa_quadratic": "kappa, quadratic",
}
BIAS = {
    "position": "shown first wins",
    "length": "longer wins",
    "haste": "agreement lost in haste",
    "consistency": "same answer when asked again",
}
PEOPLE = ("agreement", "reliability", "ties", "position", "length", "consistency")


def command(
    place: Annotated[
        str,
        typer.Argument(
            metavar="STORE_OR_FILE", help="A study.yaml, a store (path or URL), a label stage's artifact, or a file of annotations."
        ),
    ],
    of: Annotated[
        int | None, typer.Option(min=1, help="Sheets wanted in all: forecasts the end; else the study's items times overlap.")
    ] = None,
    pay: Annotated[float | None, typer.Option(min=0.0, help="Per hour: tells the cost; else the study's.")] = None,
    currency: Annotated[str, typer.Option(help="In front of the cost; else the study's.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    to: Annotated[Path | None, typer.Option("--csv", metavar="DIR", help="Write hours.csv and reliability.csv there.")] = None,
) -> None:
    """Show how far people agree, with intervals; who is reliable; and what sways them."""
    given = gathered(place)
    if not given.annotations:
        raise UserError(f"{place}: holds no annotations yet")
    pay = given.pay_per_hour if pay is None else pay
    found = summarize(
        given.annotations,
        given.repeats,
        given.hours,
        of=of or given.of,
        pay_per_hour=pay,
        currency=currency or given.currency,
    )
    if to is not None:
        written(found, to, pay)
    if as_json:
        print(json.dumps(found.plain(), indent=1, ensure_ascii=False))
    else:
        show(found)


def written(found: Summary, folder: Path, pay: float | None) -> None:
    """Both tables as files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "hours.csv", hours_csv(found.people, pay))
    write_atomic(folder / "reliability.csv", reliability_csv(found.people))


def show(found: Summary) -> None:
    """The first line, then tables of figures that there are."""
    screen.say(found.first_line())
    for question in found.questions:
        screen.out.print(of_question(question))
    swayed = [(name, getattr(found, field)) for field, name in BIAS.items() if getattr(found, field)]
    if swayed:
        screen.out.print(figures("what sways people", swayed))
    screen.out.print(of_people(found.people))


def of_question(question: Question) -> Table:
    """The agreement of one kind of judgement."""
    what = question.kind if question.aspect == "overall" else f"{question.kind}, {question.aspect}"
    title = f"{what}: {question.votes:,} votes on {question.items:,} items of {question.prompts:,} prompts"
    return figures(title, [(name, estimate) for field, name in AGREEMENT.items() if (estimate := getattr(question, field))])


def figures(title: str, rows: Sequence[tuple[str, Estimate]]) -> Table:
    """Figures with their intervals and what they rest on."""
    table = Table("", "", "95 %", "n", "prompts", title=escape(title), title_justify="left", box=None, header_style="bold")
    for name, estimate in rows:
        table.add_row(escape(name), f"{estimate.mean:.3f}", interval(estimate), f"{estimate.n:,}", f"{estimate.clusters:,}")
    return table


def of_people(people: Sequence[Person]) -> Table:
    """A row for each person."""
    table = Table("person", "labels", "hours", "s/label", *PEOPLE, title="people", title_justify="left", box=None, header_style="bold")
    for person in people:
        seconds = f"{person.seconds.mean:.0f}" if person.seconds else ""
        shares = [f"{share.mean:.2f}" if (share := getattr(person, name)) else "" for name in PEOPLE]
        table.add_row(escape(person.name), f"{person.annotations:,}", f"{person.hours:.1f}", seconds, *shares)
    return table


def interval(estimate: Estimate) -> str:
    """Low to high; nothing where it is infinite."""
    return f"{estimate.low:.3f} to {estimate.high:.3f}" if isfinite(estimate.low) and isfinite(estimate.high) else "too few prompts"
