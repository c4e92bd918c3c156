"""All evals on all artifacts: from names in a recipe to results, one artifact in memory at a time."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import tutelage.evals
from tutelage.core.errors import UserError
from tutelage.core.progress import Progress
from tutelage.core.settings import closest
from tutelage.evals.eval import Eval, Result, Subject


class Releasable(Subject, Protocol):
    """A subject whose weights can be let go of."""

    def release(self) -> None:
        """Let go of the weights."""
        ...


@dataclass
class Meter:
    """Between what is measured and the live display: `heard` goes into every `Artifact`, steps are evals of artifacts."""

    progress: Progress
    step: int = 0

    def heard(self, tokens: int) -> None:
        self.progress.tick(self.step, tokens)


def names() -> list[str]:
    """Every eval that comes with the package."""
    return [m.name for m in pkgutil.iter_modules(tutelage.evals.__path__) if declares(m.name)]


def declares(name: str) -> bool:
    """Does the file define an eval? Read, not imported."""
    spec = importlib.util.find_spec(f"tutelage.evals.{name}")
    source = spec.loader.get_source(spec.name) if spec and spec.loader else None  # type: ignore[attr-defined]
    return source is not None and any(line.startswith("EVAL = ") for line in source.splitlines())


def load(name: str, place: str = "evals") -> Eval:
    """The eval called `name`, or one of yours at `package.module:NAME`. `place` begins the UserError for one that isn't there."""
    if ":" in name:
        module_name, _, attribute = name.partition(":")
        if importlib.util.find_spec(module_name.partition(".")[0]) is None:
            raise UserError(f"{place}: there is no module {module_name}; looked in this folder and among installed packages")
        found: Any = getattr(importlib.import_module(module_name), attribute, None)
        found = found() if isinstance(found, type) else found
        if not callable(getattr(found, "run", None)) or not callable(getattr(found, "untestable", None)):
            raise UserError(f"{place}: {name} is no eval; give an object with `untestable(subject)` and `run(subject)`")
        return found
    if name not in names():
        raise UserError(f"{place}: there is no eval '{name}'{closest(name, names())}")
    return importlib.import_module(f"tutelage.evals.{name}").EVAL


@dataclass(frozen=True)
class Measured:
    """Results in the order of the evals, and the reasons why something could not be tested."""

    results: tuple[Result, ...]
    untested: tuple[str, ...]


def measure(subjects: Sequence[Releasable], evals: Sequence[Eval], meter: Meter, title: str = "evaluate") -> Measured:
    """Every eval on every subject that it applies to. Baselines that several evals give are kept once."""
    meter.progress.stage(title, len(subjects) * len(evals))
    found: dict[tuple[str, str], Result] = {}
    rank: dict[str, int] = {}
    untested: dict[str, None] = {}
    meter.step = 0
    for subject in subjects:
        for place, each in enumerate(evals):
            reason = each.untestable(subject)
            for result in each.run(subject) if reason is None else ():
                rank.setdefault(result.eval, place)
                found.setdefault((result.eval, result.stage), result)
            if reason:
                untested[reason] = None
            meter.step += 1
            meter.progress.tick(meter.step, 0)
        subject.release()
    stages = {subject.stage for subject in subjects}
    # By eval; baselines before what is compared with them; otherwise as they came: by subject, then as the eval gives them.
    order = sorted(found.values(), key=lambda r: (rank[r.eval], r.stage in stages))
    return Measured(tuple(order), tuple(untested))
