"""The miniature run, its clock, and what is kept of it.

    seconds of a stage = load + (before - load) x what it holds then / now + passes x tokens then / now + tokens x seconds a token + after

Ticks of progress mark the time of each step; what comes before the first and after the last is preparation and saving. Memory is the
stage's own peak, as every run notes it. What was measured is kept under ~/.cache/tutelage by the address of the shortened stage, the
machine and the code, so that planning twice measures once.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from tutelage.core.artifact import Artifact
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.files import write_atomic
from tutelage.core.progress import Silent
from tutelage.core.run import Run
from tutelage.core.settings import to_plain
from tutelage.models import device
from tutelage.recipes import runner
from tutelage.recipes.decisions import Decisions, plain
from tutelage.recipes.forecast.miniature import ANSWERED, UPDATES, miniature
from tutelage.recipes.forecast.standin import stand_in
from tutelage.recipes.recipe import Recipe
from tutelage.recipes.sources import Model, digest

Say = Callable[[str], None]
FAULTS = (UserError, FloatingPointError, Interrupted)
"""What a rehearsal may fail with; the stage is then forecast by arithmetic, and the reason is shown."""


@dataclass(frozen=True)
class Rehearsed:
    """One shortened stage, as it went."""

    load: float
    """Seconds for the weights it begins with."""
    before: float
    """Seconds to its first step, loading included, without `passes`."""
    passes: float
    """Seconds that all examples were read in before the first step."""
    steps: tuple[float, ...]
    """Seconds a token, of each step that was timed."""
    collect: float
    """Of reinforcement learning: seconds to sample and read a round, without learning from it."""
    after: float
    """Seconds from the last step to the end."""
    tokens: float
    """All that its steps counted."""
    seconds: float
    peak: float
    """Bytes."""


@dataclass
class Clock(Silent):
    """A progress that only looks at the time."""

    marks: list[tuple[str, float, int]] = field(default_factory=list[tuple[str, float, int]])
    """(what, when, tokens)."""

    def stage(self, name: str, total_steps: int) -> None:
        self.marks.append(("stage", time.perf_counter(), 0))

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        self.marks.append(("tick", time.perf_counter(), tokens))


def rehearse(recipe: Recipe, wanted: frozenset[str], decisions: Decisions, layers: int, say: Say) -> dict[str, Rehearsed | str]:
    """Each `wanted` stage that can be shortened, measured with a network of `layers` layers (0: the model as it is); a sentence for one
    where something failed."""
    short = miniature(recipe, recipe.model, wanted)
    keys = _keys(short, decisions, layers)
    known: dict[str, Rehearsed | str] = {name: found for name in keys if (found := _kept(keys[name])) is not None}
    missing = [name for name in short.steps if name in wanted and not {key for key in keys if key.split(":")[0] == name} <= known.keys()]
    if missing:
        say(f"measuring {len(missing)} stages in miniature: {', '.join(missing)}" + (f", {layers} layers" if layers else ""))
        with tempfile.TemporaryDirectory(prefix="tutelage-plan-") as scratch:
            with Run.open(Path(scratch) / "run", recipe=recipe.name, recipe_hash=digest(to_plain(recipe.tree)), create=True) as fresh:
                fresh.update(decisions=plain(decisions))
            short = miniature(recipe, _model(recipe.model, layers, Path(scratch)), frozenset(missing))
            for name, found in _through(short, recipe, Path(scratch) / "run", decisions).items():
                known[name] = found
                if isinstance(found, Rehearsed):
                    _keep(keys[name], found)
    return {name: found for name, found in known.items() if name.split(":")[0] in wanted}


def _model(model: Model, layers: int, scratch: Path) -> Model:
    return stand_in(model, layers, scratch / "model") if layers else model


def _through(short: Recipe, recipe: Recipe, out: Path, decisions: Decisions) -> dict[str, Rehearsed | str]:
    """The stages of the miniature, one after the other; those after a failure are not tried."""
    found: dict[str, Rehearsed | str] = {}
    names = list(short.steps)
    for n, name in enumerate(names):
        part = replace(short, steps={other: short.steps[other] for other in names[: n + 1]})
        try:
            found[name] = _timed(part, name, out, decisions)
            if short.steps[name].method == "evaluate":
                found[f"{name}: more"] = _more(recipe, short, name, out, decisions)
        except FAULTS as fault:
            return {**found, **dict.fromkeys(names[n:], f"{name} can't be rehearsed: {fault}")}
    return found


def _more(recipe: Recipe, short: Recipe, name: str, out: Path, decisions: Decisions) -> Rehearsed:
    """The evaluation once more, of more prompts."""
    shutil.rmtree(out / "answers", ignore_errors=True)
    longer = miniature(recipe, short.model, frozenset({name}), ANSWERED[1])
    steps = {**short.steps, name: longer.steps[name]}
    return _timed(replace(short, steps=steps), name, out, decisions)


def _timed(part: Recipe, name: str, out: Path, decisions: Decisions) -> Rehearsed:
    clock = Clock()
    load = _loading(part, name, out)
    device.forget_peak()
    began = time.perf_counter()
    artifact = runner.run(part, out, clock).artifacts[name]
    ended = time.perf_counter()
    return read(clock, began, ended, load, artifact, device.peak_bytes())


def _loading(part: Recipe, name: str, out: Path) -> float:
    """Seconds to load the weights that a stage begins with."""
    step = part.steps[name]
    parent = step.parents.get("init") or step.parents.get("policy")
    made = Run.view(out).current().get(str(parent)) if out.exists() else None
    folder = next(out.glob(f"artifacts/{parent}-*/model"), None) if made else part.model.path if parent == "model" else None
    if folder is None:
        return 0.0
    from tutelage.models import weights

    began = time.perf_counter()
    weights.load(folder)
    return time.perf_counter() - began


def read(clock: Clock, began: float, ended: float, load: float, artifact: Artifact, on_gpu: float) -> Rehearsed:
    """What a stage's clock says."""
    starts = [n for n, (what, _, _) in enumerate(clock.marks) if what == "stage"]
    first = starts[-1] if starts else 0
    main = clock.marks[first:]
    ticks = [(now - before, tokens) for (_, before, _), (_, now, tokens) in pairwise(main)]
    begins, ends = (main[0][1], main[-1][1]) if main else (ended, ended)
    passes = begins - clock.marks[starts[0]][1] if len(starts) > 1 else 0.0
    tokens = sum(count for _, count in ticks)
    phased = "rollouts" in artifact.settings
    last = ticks[len(ticks) // UPDATES :] if phased else []
    timed = [(sum(seconds for seconds, _ in last), sum(count for _, count in last))] if phased else ticks[1:] or ticks
    rest = [seconds for seconds, _ in last[1:]]
    collect = max(0.0, last[0][0] - (fmean(rest) if rest else last[0][0] / 2)) if last else 0.0
    rates = tuple(seconds / count for seconds, count in timed if count)
    peak = on_gpu or artifact.cost["peak_rss"]
    return Rehearsed(load, begins - began - passes, passes, rates, collect, ended - ends, tokens, ended - began, peak)


def _keys(short: Recipe, decisions: Decisions, layers: int) -> dict[str, str]:
    """Where what was measured of each stage lies."""
    code = runner.code_hash()
    keys = {todo.step.name: digest([todo.hash, plain(decisions), code, layers]) for todo in runner.plan(short, None)}
    more = {f"{name}: more": digest([key, "more"]) for name, key in keys.items() if short.steps[name].method == "evaluate"}
    return {**keys, **more}


def folder() -> Path:
    """Where measurements are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tutelage" / "rehearsed"


def _kept(key: str) -> Rehearsed | None:
    path = folder() / f"{key[:32]}.json"
    if not path.exists():
        return None
    found: Mapping[str, Any] = json.loads(path.read_text())
    return Rehearsed(**{**found, "steps": tuple(found["steps"])})


def _keep(key: str, found: Rehearsed) -> None:
    """Nowhere to keep it (a home that can't be written, in a container): the next plan measures again."""
    with suppress(OSError, Interrupted):
        folder().mkdir(parents=True, exist_ok=True)
        write_atomic(folder() / f"{key[:32]}.json", json.dumps(asdict(found)))
