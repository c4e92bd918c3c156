"""`tutelage label simulate`: a study rehearsed with simulated people, before money is spent on real ones."""

import json
from typing import Annotated

import typer
from rich.table import Table

from tutelage.cli import screen
from tutelage.core.building import build
from tutelage.feedback.rehearsal import Rehearsal, rehearse

ROWS = {
    "agreement": "agreement that you will see",
    "majority": "right by majority",
    "dawid_skene": "right by Dawid-Skene",
    "detection": "bad people found (AUROC)",
    "gold_detection": "bad people found by gold items (AUROC)",
}


def command(
    items: Annotated[int, typer.Option(help="Pairs of responses.")] = 2000,
    overlap: Annotated[int, typer.Option(help="People per item.")] = 3,
    honest: Annotated[int, typer.Option(help="People who are right with chance --accuracy.")] = 16,
    accuracy: Annotated[float, typer.Option(help="0.836 is a pairwise agreement of 72.6 %.")] = 0.836,
    flippers: Annotated[int, typer.Option(help="People who answer the opposite.")] = 4,
    clickers: Annotated[int, typer.Option(help="People who toss a coin.")] = 0,
    biased: Annotated[int, typer.Option(help="People who take what stands first half of the time.")] = 0,
    gold_rate: Annotated[float, typer.Option(help="Gold items as a share of each person's own.")] = 0.0,
    seconds: Annotated[float, typer.Option(min=0, help="Per label.")] = 37.0,
    pay: Annotated[float, typer.Option(min=0, help="Per hour.")] = 15.0,
    repeats: Annotated[int, typer.Option(min=2, help="Rehearsals.")] = 20,
    seed: Annotated[int, typer.Option()] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Rehearse a study: what will agreement, majority and Dawid-Skene say, and would bad annotators be found?"""
    plain = {"items": items, "overlap": overlap, "honest": honest, "accuracy": accuracy, "flippers": flippers, "clickers": clickers}
    plain |= {"biased": biased, "gold_rate": gold_rate, "seconds": seconds, "pay_per_hour": pay}
    study = build(Rehearsal, plain, "simulate")
    found = rehearse(study, repeats, seed)
    if as_json:
        figures = {name: estimate.plain() if estimate else None for name, estimate in found.items()}
        print(json.dumps({"labels": study.labels, "cost": study.cost, **figures}, indent=1))
        return
    screen.say(f"{study.people} people, {study.labels:,} labels, {study.cost:,.0f} at {pay:g} an hour; {repeats} rehearsals.")
    table = Table("", "", "95 % of studies", box=None, header_style="bold")
    for name, words in ROWS.items():
        estimate = found[name]
        if estimate:
            table.add_row(words, f"{estimate.mean:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}")
    screen.out.print(table)
