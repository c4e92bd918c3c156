"""Every invariant of an objective, on every bench: what `tutelage prove NAME` runs."""

from collections.abc import Iterator, Sequence

from tutelage.engine.invariants.bench import SHAPES, Bench
from tutelage.engine.invariants.checks import CHECKS, Outcome
from tutelage.objectives.objective import Objective

BENCHES = tuple(Bench(shape, adapter) for shape in SHAPES[:4] for adapter in ("", "lora"))


def prove(objective: Objective, benches: Sequence[Bench] = BENCHES) -> Iterator[Outcome]:
    """One outcome for each invariant and bench, as they are measured. float64; some seconds a bench."""
    for bench in benches:
        for check in CHECKS.values():
            yield check(objective, bench)
