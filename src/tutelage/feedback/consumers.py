"""Which artifacts were made from one person's annotations: what an erasure must name, for a store can be emptied and weights can't.

Read from the manifests of runs alone, which know people by pseudonym: within a store a pseudonym is one person's for ever, but two studies
may each have an ann-01, so name the runs that learnt from the store in question. A stage that learns from annotations notes whose it used
after its filters (`consumed`), a stage that collects them whose it holds (`annotators`). Everything made from such an artifact is named
too, but not by way of annotations from which the person was left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core.artifact import Artifact
from tutelage.core.run import Run


@dataclass(frozen=True)
class Consumer:
    """One artifact."""

    run: Path
    stage: str
    hash: str
    created: str
    annotations: int
    """Of the person's that it holds or learnt from itself; 0: it was made from artifacts that did."""
    current: bool
    """Whether it is the run's current artifact of its stage; older ones stay on the disk until they are cleaned away."""


def consumers(runs: Iterable[Path], annotator: str) -> list[Consumer]:
    """Every artifact of these run directories that was made from the annotations of this person, by run and in the order in which they
    were made. UserError for a directory that is no run."""
    return [found for path in runs for found in _of_run(path, annotator)]


def _of_run(path: Path, annotator: str) -> list[Consumer]:
    run = Run.view(path)
    everything = {(one.stage, one.hash): one for one in run.artifacts()}
    current = run.current()
    return [
        Consumer(path, one.stage, one.hash, one.created, _own(one, annotator), current.get(one.stage) == one.hash)
        for one in sorted(everything.values(), key=lambda one: (one.created, one.stage))
        if _consumed(one, annotator, everything)
    ]


def _consumed(one: Artifact, annotator: str, everything: Mapping[tuple[str, str], Artifact]) -> bool:
    if _own(one, annotator):
        return True
    parents = [everything[parent] for parent in one.parents.items() if parent in everything]
    if "consumed" in one.results:  # it says whose annotations it took: the person is none of them
        parents = [parent for parent in parents if "annotators" not in parent.results]
    return any(_consumed(parent, annotator, everything) for parent in parents)


def _own(one: Artifact, annotator: str) -> int:
    told: Mapping[str, Any] = one.results.get("consumed") or one.results.get("annotators") or {}
    return int(told.get(annotator, 0))
