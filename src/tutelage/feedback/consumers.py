"""Which artifacts were made from one person's annotations: what an erasure must name, for a store can be emptied and weights can't.

Read from the manifests of runs alone, which know people by pseudonym and study: within a store a pseudonym is one person's for ever, and
two studies may each have an ann-01. A stage that learns from annotations notes whose it used after its filters (`consumed`), a stage that
collects them whose it holds (`annotators`), both with the store's id (`study`). What says no study (rows of a file, manifests of before) is
named too, as known by the name alone. Everything made from such an artifact is named, but not by way of annotations from which the person
was left out.
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
    sure: bool = True
    """False: by the name alone, for the manifest doesn't say which study's person it means."""


@dataclass(frozen=True)
class _Person:
    name: str
    study: str
    """Id of the store; empty: of any."""

    def own(self, one: Artifact) -> int:
        """How many annotations of this person an artifact holds or learnt from."""
        told: Mapping[str, Any] = one.results.get("consumed") or one.results.get("annotators") or {}
        return int(told.get(self.name, 0)) if one.results.get("study", self.study) == self.study or not self.study else 0

    def sure(self, one: Artifact) -> bool:
        """Whether an artifact says that it means this study's people."""
        return not self.study or one.results.get("study") == self.study


def consumers(runs: Iterable[Path], annotator: str, study: str = "") -> list[Consumer]:
    """Every artifact of these run directories that was made from the annotations of this person of the store with the id `study`, by run
    and in the order in which they were made. UserError for a directory that is no run."""
    return [found for path in runs for found in _of_run(path, _Person(annotator, study))]


def _of_run(path: Path, who: _Person) -> list[Consumer]:
    run = Run.view(path)
    everything = {(one.stage, one.hash): one for one in run.artifacts()}
    current = run.current()
    found = [(one, _sources(one, who, everything)) for one in sorted(everything.values(), key=lambda one: (one.created, one.stage))]
    return [
        Consumer(path, one.stage, one.hash, one.created, who.own(one), current.get(one.stage) == one.hash, any(map(who.sure, sources)))
        for one, sources in found
        if sources
    ]


def _sources(one: Artifact, who: _Person, everything: Mapping[tuple[str, str], Artifact]) -> list[Artifact]:
    """The artifacts at or above this one by which it has something of the person's; none where it has nothing."""
    own = [one] if who.own(one) else []
    parents = [everything[parent] for parent in one.parents.items() if parent in everything]
    if "consumed" in one.results:  # it says whose annotations it took: the person is none of them, but by way of other parents
        parents = [parent for parent in parents if "annotators" not in parent.results]
    return own + [source for parent in parents for source in _sources(parent, who, everything)]
