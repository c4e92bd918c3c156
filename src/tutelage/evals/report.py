"""`report.json` for programs and `report.html` for people: one page, one file, no network, light and dark, phone and paper.

The first screen says one sentence, shows one chart and one table; everything else is below, settings folded away. Every text that
came from a model or a user is escaped (Jinja's autoescape; `charts` escapes by itself): a response may contain HTML.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic
from tutelage.evals import charts
from tutelage.evals.compare import Comparison, compare_families
from tutelage.evals.eval import Measure
from tutelage.evals.findings import Findings, Point, change, change_span, headline_stage, number, pretty, sentence, span

SCHEMA = 1


def write(found: Findings, folder: Path) -> Path:
    """Write report.json and report.html (both whole or not at all), return the page's path. UserError on a value that is no number."""
    plain = json.dumps(as_json(found), ensure_ascii=False, indent=1, allow_nan=False)
    page = as_html(found)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "report.json", plain + "\n")
    write_atomic(folder / "report.html", page)
    return folder / "report.html"


def as_json(found: Findings) -> dict[str, Any]:
    """evals[eval][stage], comparisons[], curves[name][stage], cost[stage], and what the words are made of."""
    evals: dict[str, dict[str, Any]] = {}
    for r in found.results:
        families = {name: figures(f"{r.eval}/{name}", part) for name, part in r.families.items()}
        evals.setdefault(r.eval, {})[r.stage] = {**figures(f"{r.eval} of {r.stage}", r), "families": families}
    for c in found.comparisons:
        checked(f"comparison of {c.a} and {c.b} on {c.eval}", c.difference)
    for name, lines in found.curves.items():
        for stage, points in lines.items():
            for point in points:
                checked(f"curve {name} of {stage}", *point.values())
    main = headline_stage(found)
    return {
        "schema": SCHEMA,
        "recipe": found.recipe,
        "sentence": sentence(found),
        "main": main,
        "parent": found.parent(main),
        "labels": {stage: found.label(stage) for stage in found.order},
        "measures": {name: {**asdict(measure), "limits": measure.limits} for name, measure in found.measures.items()},
        "evals": evals,
        "comparisons": [{**asdict(c), "low": finite(c.low), "high": finite(c.high)} for c in found.comparisons],
        "curves": {name: {stage: list(map(dict, points)) for stage, points in lines.items()} for name, lines in found.curves.items()},
        "cost": {name: asdict(cost) for name, cost in found.costs.items()},
        "stages": [{"name": n.name, "method": n.method, "parent": n.parent, "hash": n.hash} for n in found.stages],
        "expected": [{"claim": j.claim.text(found.label), "held": j.held, "reason": j.reason} for j in found.judgements],
        "examples": [asdict(example) for example in found.examples],
        "picked": found.picked,
        "data": [asdict(source) for source in found.data],
        "people": [asdict(source) for source in found.people],
        "untested": list(found.untested),
        "notes": list(found.notes),
        "versions": dict(found.versions),
    }


def figures(what: str, r: Any) -> dict[str, float | int | None]:
    """mean, low, high, n; an interval that one item can't give is null."""
    return {"mean": checked(what, r.mean), "low": finite(r.low), "high": finite(r.high), "n": r.n}


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def checked(what: str, *values: float) -> float:
    for value in values:
        if not math.isfinite(value):
            raise UserError(f"the report's {what} is {value}, not a number; the model behind it diverged: train it again at a lower rate")
    return values[0]


def as_html(found: Findings) -> str:
    """The page, whole and self-contained."""
    environment = Environment(
        loader=PackageLoader("tutelage.evals", ""),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    main = headline_stage(found)
    return environment.get_template("page.html.jinja").render(
        found=found,
        sentence=sentence(found),
        main=main,
        parent=found.parent(main),
        panels=panels(found, main),
        table=table(found, main),
        families=family_panels(found, main),
        curves=curves(found),
        costs=costs(found),
        pretty=pretty,
    )


def panels(found: Findings, main: str) -> list[dict[str, Any]]:
    """A chart per main measure; the table has the rest."""
    return [
        {"measure": measure, "svg": Markup(charts.panel(found, rows, main))}
        for name, measure in found.measures.items()
        if measure.main and (rows := [r for stage in found.order if (r := found.result(name, stage))])
    ]


def family_panels(found: Findings, main: str) -> list[dict[str, Any]]:
    """The headline's families: a row per family with the main stage, the one that it came from, and their difference; worst first."""
    measure = next((r.measure for r in found.results if r.stage == main and r.families), None)
    own = measure and found.result(measure.name, main)
    if not own or not measure:
        return []
    before = found.result(measure.name, found.parent(main))
    changes = {c.family: c for c in compare_families(own, before)} if before else {}
    rows = []
    for name in changes or own.families:
        part = own.families[name]
        old = before.families.get(name) if before else None
        rows.append({
            "name": pretty(name),
            "old": number(old.mean, measure) if old else "",
            "new": number(part.mean, measure),
            "span": change_span(changes[name], measure) if name in changes else span(part.low, part.high, measure),
            "n": part.n,
            "change": difference(changes[name], measure) if name in changes else None,
        })  # fmt: skip
    return rows


def table(found: Findings, main: str) -> list[dict[str, Any]]:
    """A row per measure: a cell per stage, and the main stage's difference from its parent in figures and in words."""
    parent = found.parent(main)
    rows = []
    for name, measure in found.measures.items():
        cells = [cell(found, name, stage) for stage in found.order]
        c = found.comparison(name, main, parent) if parent else None
        rows.append({"measure": measure, "cells": cells, "change": difference(c, measure) if c else None})
    return rows


def cell(found: Findings, name: str, stage: str) -> dict[str, str] | None:
    r = found.result(name, stage)
    return {"mean": number(r.mean, r.measure), "span": span(r.low, r.high, r.measure), "n": f"{r.n:,}"} if r else None


def difference(c: Comparison, measure: Measure) -> dict[str, str]:
    return {"size": change(c, measure), "span": change_span(c, measure), "verdict": c.verdict}


def curves(found: Findings) -> list[dict[str, Any]]:
    """Gold and proxy against KL where KL was measured, otherwise every curve against its steps."""
    kl = found.curves.get("kl", {})
    out = []
    for name, lines in found.curves.items():
        if name == "kl" and len(found.curves) > 1:
            continue
        drawn = {stage: against(points, kl.get(stage, ())) for stage, points in lines.items() if points}
        x = "KL from the start, nats per response" if drawn and all(stage in kl for stage in drawn) and name != "kl" else "step"
        if x == "step":
            drawn = {stage: [(p["step"], p) for p in lines[stage]] for stage in drawn}
        if drawn:
            picture = charts.curve_panel(found, drawn, baselines(found) if name == "gold" else {}, x)
            out.append({"title": CURVES.get(name, pretty(name)), "svg": Markup(picture)})
    return out


CURVES = {"gold": "Gold score: what is wanted", "proxy": "Reward model's score: what is trained on", "kl": "Distance from the start"}


def against(points: Any, kl: Any) -> list[tuple[float, Point]]:
    """Points with the KL of the same step as their x."""
    by_step: Mapping[float, float] = {p["step"]: p["value"] for p in kl}
    return [(by_step[p["step"]], p) for p in points if p["step"] in by_step]


def baselines(found: Findings) -> dict[str, float]:
    """Overall gold of what was not trained (best of n): lines to be beaten."""
    trained = {note.name for note in found.stages}
    return {r.stage: r.mean for r in found.results if r.eval == "overall" and r.stage not in trained}


def costs(found: Findings) -> list[dict[str, Any]]:
    most = max((cost.seconds for cost in found.costs.values()), default=0) or 1
    return [
        {
            "stage": found.label(name),
            "tokens": f"{cost.tokens:,}" if cost.tokens else "",
            "time": clock(cost.seconds),
            "rate": f"{cost.tokens_per_s:,.0f}" if cost.tokens_per_s else "",
            "memory": f"{cost.peak_rss / 2**30:.2f} GiB" if cost.peak_rss else "",
            "share": round(100 * cost.seconds / most, 1),
        }
        for name, cost in found.costs.items()
    ]


def clock(seconds: float) -> str:
    """70 s is 1:10 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"
