"""`tutelage label power`: how many labels for plus or minus two points?"""

import json
from dataclasses import asdict
from typing import Annotated, cast, get_args

import typer

from tutelage.cli import screen
from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.feedback.agreement.power import Figure, Power, needed

EXPECTED = {"agreement": 0.726, "win_rate": 0.5, "reward_accuracy": 0.7}
"""InstructGPT's labelers; an even match; a usual reward model."""


def command(
    of: Annotated[str, typer.Option(help="agreement, win_rate or reward_accuracy.")] = "agreement",
    half_width: Annotated[float, typer.Option(help="Half of the 95 % interval; two points are 0.02.")] = 0.02,
    expected: Annotated[float | None, typer.Option(help="What you expect; default 0.726, 0.5 and 0.7.")] = None,
    responses: Annotated[int, typer.Option(help="Responses per prompt: 2 a pair, 4-9 a ranking.")] = 2,
    overlap: Annotated[int | None, typer.Option(help="People per prompt; default 2 for agreement, else 1.")] = None,
    people: Annotated[int | None, typer.Option(help="People in all, with --person-sd.")] = None,
    person_sd: Annotated[float, typer.Option(help="How much people's own rates differ (standard deviation).")] = 0.0,
    seconds: Annotated[float, typer.Option(min=0, help="Per label.")] = 37.0,
    pay: Annotated[float, typer.Option(min=0, help="Per hour.")] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say how many prompts and labels an interval of that width takes."""
    if of not in get_args(Figure):
        raise UserError(f"--of {of}: it is one of {', '.join(get_args(Figure))}{closest(of, get_args(Figure))}")
    figure = cast(Figure, of)
    overlap = overlap or (2 if of == "agreement" else 1)
    guess = EXPECTED[of] if expected is None else expected
    found = needed(figure, half_width, guess, responses, overlap, people, person_sd)
    hours = found.labels * seconds / 3600
    if as_json:
        print(json.dumps({**asdict(found), "hours": hours, "cost": hours * pay}, indent=1))
    else:
        screen.say(told(found, of.replace("_", " "), guess, overlap, responses, hours, pay))


def told(found: Power, of: str, expected: float, overlap: int, responses: int, hours: float, pay: float) -> str:
    """The answer in words."""
    kind = "pairs" if responses == 2 else f"rankings of {responses}"
    asked = f"{found.prompts:,} prompts" + (
        f", each by {overlap} people: {found.labels:,} {kind}" if overlap > 1 else f": {found.labels:,} {kind}"
    )
    joined = f"Judgements of one prompt depend on each other: {found.design_effect:.2f} times what independent ones would take."
    worth = f"\n{joined}" if abs(found.design_effect - 1) > 0.005 else ""
    return (
        f"{asked}, for {of} {expected:.3g} ± {found.half_width:.3f} (95 %).\n"
        f"About {hours:,.0f} hours, {hours * pay:,.0f} at {pay:g} an hour.{worth}"
    )
