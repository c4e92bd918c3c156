"""The loop around the engine: take a step's examples from a source, learn, write down what was measured, keep checkpoints.

A source is a function of the step (and, for rollouts, of the weights): `trees(step)`. So a run killed at any moment and started
again does the steps since its last checkpoint once more and ends with the same weights; `metrics.jsonl` holds each step once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tutelage.core.files import JsonLines
from tutelage.core.progress import Progress
from tutelage.data.tree import Tree
from tutelage.engine import checkpoint
from tutelage.engine.engine import Engine


class Source(Protocol):
    """Where examples come from."""

    def trees(self, step: int) -> Sequence[Tree]:
        """The examples of an optimiser step."""
        ...

    def figures(self, step: int) -> Mapping[str, float]:
        """What the source has to tell of a step, beside the losses."""
        ...

    def state(self, step: int) -> dict[str, Any]:
        """What `step`, the next one, needs from here; plain values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class Fixed:
    """A source without state: examples as a function of the step alone. `beside(step)` gives further trees for each step."""

    at: Callable[[int], Sequence[Tree]]
    beside: Callable[[int], Sequence[Tree]] | None = None

    def trees(self, step: int) -> Sequence[Tree]:
        return [*self.at(step), *(self.beside(step) if self.beside else ())]

    def figures(self, step: int) -> Mapping[str, float]:
        return {}

    def state(self, step: int) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        pass


@dataclass(frozen=True)
class Probe:
    """Something measured during training, as a row of `probes.jsonl`: before step 0, every `every` steps, and after the last."""

    every: int
    measure: Callable[[int], Mapping[str, Any]]

    def due(self, step: int, steps: int) -> bool:
        return step == steps or step % self.every == 0


def train(
    engine: Engine,
    source: Source,
    steps: int,
    folder: Path,
    progress: Progress,
    name: str,
    every: int = 50,
    probe: Probe | None = None,
    shown: Sequence[str] = (),
) -> None:
    """Do the steps that are left, up to `steps`. Writes `metrics.jsonl`, `probes.jsonl` and checkpoints into `folder`.

    `every`: steps between checkpoints. `shown`: which figures the progress line shows.
    """
    metrics, probes = JsonLines(folder / "metrics.jsonl"), JsonLines(folder / "probes.jsonl")
    first, chief = _resumed(engine, source, folder), engine.ranks.rank == 0
    if chief:
        metrics.truncate_after(lambda row: row["step"] <= first)
        # A probe at step n measures the weights before that step; the one after the last step is written before the last checkpoint.
        probes.truncate_after(lambda row: row["step"] < first or first == steps)

    def look(step: int) -> None:
        if probe is None or not probe.due(step, steps):
            return
        if chief or engine.policy.sharded:  # all look, where one alone can't read
            seen = probe.measure(step)
            if chief:
                probes.append([{"step": step, **seen}])
        engine.ranks.wait()

    progress.stage(name, steps)
    for step in range(first, steps):
        look(step)
        trees = source.trees(step)
        told = {**engine.step(trees, step, steps), **source.figures(step)}
        tokens = sum(tree.length for tree in trees)
        if chief:
            metrics.append([{"step": step + 1, "tokens": tokens, **told}])
        progress.tick(step + 1, tokens, **{key: told[key] for key in shown if key in told})
        if step + 1 == steps:
            look(steps)
        if (step + 1) % every == 0 or step + 1 == steps:
            checkpoint.keep(folder, step + 1, engine, source.state(step + 1))


def _resumed(engine: Engine, source: Source, folder: Path) -> int:
    taken = checkpoint.take(folder, engine)
    if taken is None:
        return 0
    source.restore(taken[1])
    return taken[0]
