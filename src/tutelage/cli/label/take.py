"""`tutelage label export`: a store as raw rows, as a training set, or as another tool's file."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from tutelage.cli import screen
from tutelage.core.building import closest
from tutelage.core.errors import UserError
from tutelage.feedback import foreign
from tutelage.feedback.export import TYPES, Form, export, export_events
from tutelage.feedback.store import Store

How = Literal["none", "majority", "dawid_skene", "bradley_terry"]


def command(
    store: Annotated[str, typer.Argument(help="A store: a path, or a postgresql:// URL.")],
    out: Annotated[Path, typer.Option(help="The file: .jsonl, .json or .parquet. One that is there is replaced.")],
    as_: Annotated[
        str, typer.Option("--as", help=f"events, raw, {', '.join(TYPES)} (TRL's types), or a tool: {', '.join(foreign.names())}.")
    ] = "raw",
    aggregate_: Annotated[How, typer.Option("--aggregate", help="How several people's answers become one.")] = "none",
    minimum_agreement: Annotated[float | None, typer.Option(min=0, max=1, help="Leave out prompts on which people agree less.")] = None,
    form: Annotated[Form, typer.Option(help="Of TRL's types: messages, or plain texts.")] = "conversational",
    without: Annotated[list[str] | None, typer.Option(help="An annotator to leave out; may be repeated.")] = None,
) -> None:
    """Write what STORE holds into a file."""
    held = Store(store, create=False)
    if as_ == "events":
        if without or aggregate_ != "none" or minimum_agreement is not None:
            raise UserError("--as events writes all that happened; leave out --without, --aggregate and --minimum-agreement")
        screen.say(f"{out}: {export_events(held.events(), out):,} events.")
        return
    people = held.annotators()
    for name in without or ():
        if name not in people:
            raise UserError(f"--without: nobody named {name!r} annotated in {store}{closest(name, people)}")
    found, beside, alone = list(held.read(tuple(without or ()))), Counter[str](), 0
    again = [event for event in held.repeats(tuple(without or ())) if event.annotation]
    whole = aggregate_ == "none" and minimum_agreement is None
    # whoever was asked again by a study may have answered otherwise, and only raw rows can say that this was a repeat
    told = [event.annotation for event in again if whole and event.annotation and (as_ == "raw" or event.formless)]
    if not whole:
        from tutelage.feedback.aggregate import aggregate, orders, single  # late: fitting people's reliability imports scipy

        ordering = [annotation for annotation in found if orders(annotation)]
        beside = Counter(annotation.task for annotation in found if not orders(annotation))
        alone = single(ordering) if aggregate_ != "none" else 0
        found = aggregate(ordering, aggregate_, minimum_agreement)
    made = export(found, out, as_, form, aggregate_, told)
    left = [f"; {n:,} left out: nothing to join in {task}" for task, n in beside.items()]
    if over := len(again) - (0 if as_ in TYPES else len(told)):
        left.append(f"; repeats left out: {over:,}")
    left += [f"; {n:,} without a row: {why}" for why, n in made.without.items()]
    one = [f"; prompts with one person's word only: {alone:,}"] if alone else []
    rest = "".join([*one, *left, *(f"; {as_} has no place for {what} of {n:,}" for what, n in made.lost.items())])
    screen.say(f"{out}: {made.rows:,} rows of {as_} from {made.annotations:,} annotations (aggregate: {aggregate_}){rest}.")
