"""What a run would cost, before: tokens, seconds, memory, disk, people's work; each with how sure it is.

    tokens     of the data themselves (recipes/sizes.py)
    seconds    of the stage in miniature, measured here (recipes/forecast/rehearsal.py), carried over to all its steps; with one and two
    memory     layers, and from there to all of them by a straight line, where the model is too large to try as it is

Where this run directory has the same stage with nothing but its length changed, its own pace counts instead. What can't be rehearsed is
forecast by arithmetic (recipes/forecast/network.py), and said to be. Nothing here changes what is computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.core.run import MANIFEST, Run
from tutelage.engine.ranks import ranks
from tutelage.recipes.decisions import Decisions, available_bytes, decide
from tutelage.recipes.forecast.network import Network, memory_of, network_of, operations, training_speed
from tutelage.recipes.forecast.smaller import fitting
from tutelage.recipes.recipe import Recipe, Step, context_of
from tutelage.recipes.rows import reader_of
from tutelage.recipes.runner import plan
from tutelage.recipes.stage import Billed, Foreseen

if TYPE_CHECKING:
    from tutelage.recipes.forecast.joining import Measured

LENGTHS = {"steps", "epochs", "updates", "count", "tokens", "seed", "pair_prompts", "probe_every", "probe_prompts"}
"""Settings that say how long a stage lasts, and not how fast it goes."""
SPREAD = {"rehearsed": 0.15, "made here": 0.1, "arithmetic": 0.7}
"""Share of a stage's seconds that a forecast may be off by, beside what its lengths are: what was seen of several (docs/performance.md)."""
LENGTH_SPREAD = 0.2
"""The same of tokens that are sampled, or not counted by the model's own tokenizer."""
MEMORY_SPREAD = {"rehearsed": 0.1, "made here": 0.1, "arithmetic": 0.3}
KEPT = 8
"""Bytes on disk of a token of an annotation."""


@dataclass(frozen=True)
class Forecast:
    """One stage before it runs; None where nothing is known."""

    step: Step
    why: str
    """Empty when it is whole."""
    tokens: int | None
    seconds: float | None
    memory: float | None
    """Bytes at its peak."""
    how: str = ""
    """rehearsed, made here (its own pace, as it went before), or arithmetic."""
    spread: float = 0.0
    """Share of `seconds` that it may be off by."""
    disk: float | None = None
    """Bytes that it leaves behind."""
    people: str = ""
    """What it asks of people."""
    note: str = ""
    """Why it was not rehearsed, where that was wanted."""
    bill: str = ""
    """What asking others may cost, in a sentence."""
    remark: str = ""
    """What was edited since it was made and doesn't make it stale, for people."""
    processes: int = 1
    """That share the work; memory is that of each."""


def forecast(
    recipe: Recipe,
    out: Path,
    strict: bool = False,
    rehearsing: bool = False,
    say: Callable[[str], None] | None = None,
    processes: int = 0,
) -> list[Forecast]:
    """Every stage of `recipe` in the run directory `out`, which need not exist. `rehearsing` measures stages in miniature, which takes
    some seconds; otherwise what was measured before is not looked for either. `processes` that torchrun would start (0: those that are
    here): for several nothing is rehearsed. Raises UserError for another recipe's directory."""
    together = processes or ranks().size
    opened = Run.view(out) if (out / MANIFEST).exists() else None
    items = plan(recipe, opened, strict)
    network = network_of(recipe.model) if any(item.made is None for item in items) else None
    known = {item.step.name: made for item in items if item.made is None and opened and (made := _alike(opened, item.step))}
    if processes > 1:
        known = {}  # its pace was that of as many as there were
    wanted = frozenset(item.step.name for item in items if item.made is None)
    rehearsed: dict[str, Measured | str] = {}
    if rehearsing and wanted and network and together == 1:
        from tutelage.recipes.forecast.joining import measured  # late: it brings all that trains

        rehearsed = measured(recipe, wanted, network, decide(), say or (lambda line: None))
    rows = [
        _row(recipe, item.step, item.why, network, known.get(item.step.name), rehearsed.get(item.step.name), together) for item in items
    ]
    return [
        replace(row, remark=item.remark, bill="" if item.made else bill_of(recipe, item.step))
        for row, item in zip(rows, items, strict=True)
    ]


def _alike(opened: Run, step: Step) -> Artifact | None:
    """An artifact of the same stage that differs in how long it lasted alone."""
    same = {name: value for name, value in step.settings.items() if name not in LENGTHS}
    for made in opened.artifacts():
        theirs = {name: value for name, value in made.settings.items() if name not in LENGTHS}
        if made.method == step.method and made.stage == step.name and theirs == same and made.cost.get("tokens"):
            return made
    return None


def _row(
    recipe: Recipe,
    step: Step,
    why: str,
    network: Network | None,
    known: Artifact | None,
    rehearsed: "Measured | str | None",
    processes: int,
) -> Forecast:
    """One stage's forecast by the best that is known of it."""
    if not why:
        return Forecast(step, why, tokens_of(recipe, step), 0.0, None)
    tokens, note = tokens_of(recipe, step), rehearsed if isinstance(rehearsed, str) else ""
    rate = known.cost["tokens_per_s"] if known else 0.0
    memory = memory_of(step, network, {"processes": processes}) if network else None
    seconds, how, spread = (tokens / rate if tokens and rate else None), "made here", 0.0
    if known:
        memory = known.cost["peak_rss"] if decide().device == "cpu" else memory
    elif rehearsed is not None and not isinstance(rehearsed, str):
        seconds, memory, how, spread = rehearsed.seconds, rehearsed.memory, "rehearsed", rehearsed.spread
    elif network:
        seconds, how = _arithmetic(step, network, tokens, decide(), processes), "arithmetic"
    unsure = LENGTH_SPREAD if uncertain(recipe, step) else 0.0
    spread = (SPREAD[how] ** 2 + spread**2 + unsure**2) ** 0.5
    disk, asked = kept_bytes(step, network, tokens), people(recipe, step)
    return Forecast(step, why, tokens, seconds, memory, how, spread, disk, asked, note, processes=processes)


def _arithmetic(step: Step, network: Network, tokens: int | None, decisions: Decisions, processes: int) -> float | None:
    """Training is shared out; processes on one processor share that too."""
    shared = processes if decisions.device == "cuda" and "machine" in step.settings else 1
    return tokens * operations(step) * network.parameters / training_speed(decisions) / shared if tokens else None


def tokens_of(recipe: Recipe, step: Step) -> int | None:
    """Tokens through the network, where the stage can say."""
    stage = step.stage
    return stage.expected_tokens(context_of(recipe, step, lambda field: field)) if isinstance(stage, Foreseen) else None


def bill_of(recipe: Recipe, step: Step) -> str:
    """What a stage may have to pay to others."""
    return step.stage.bill(context_of(recipe, step, lambda field: field)) if isinstance(step.stage, Billed) else ""


def uncertain(recipe: Recipe, step: Step) -> bool:
    """Does a policy sample what is counted, or was it counted without the model's tokenizer?"""
    if not isinstance(step.stage, Foreseen):
        return False
    context = context_of(recipe, step, str)
    if hasattr(step.stage, "sampling") or hasattr(step.stage, "rollouts"):
        return True
    kinds = {name: reader_of(step, field) for field, name in step.parents.items() if name in recipe.inputs}
    return any(kind is not None and not context.size(name, kind).counted for name, kind in kinds.items())


def kept_bytes(step: Step, network: Network | None, tokens: int | None) -> float | None:
    """Of what a stage leaves: weights in float32, or annotations."""
    if step.stage.produces in ("model", "reward"):
        return 4.0 * network.parameters if network else None
    return float(KEPT * tokens) if step.stage.produces == "annotations" and tokens else None


def people(recipe: Recipe, step: Step) -> str:
    """Labels, hours and pay, of a stage that asks people."""
    if step.settings.get("by") != "people":
        return ""
    from tutelage.recipes.forecast.labor import labor  # late, as above

    return labor(recipe, step)


def check_memory(recipe: Recipe, rows: Sequence[Forecast]) -> None:
    """Raise UserError where a stage won't fit, with its estimate and settings that would."""
    limit = recipe.memory * 2**30 if recipe.memory else available_bytes()
    for row in rows:
        if row.memory and row.memory > limit:
            wanted, free = row.memory / 2**30, limit / 2**30
            ways = fitting(recipe, row.step, row.memory, limit, row.processes)
            if recipe.memory and row.memory <= available_bytes():
                ways = [*ways[:2], f"memory={wanted + 0.05:.1f}"]
            advice = f"; any of these would fit: {', '.join(ways)}" if ways else "; no smaller setting would fit either"
            raise UserError(f"stage {row.step.name} would need about {wanted:.2f} GiB, and {free:.2f} GiB may be used{advice}")
