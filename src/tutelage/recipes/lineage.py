"""What was this made from: stages, data, and the people whose annotations taught it; read from the manifests alone.

An annotating stage notes `results["annotators"] = {name: annotations}`; a stage that learns from annotations notes those that it
used after its filters as `results["consumed"]`; both note `results["study"]`, the id of the store that knows people by these names, since
two studies may each have an ann-01.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.core.run import Run
from tutelage.core.settings import closest


@dataclass(frozen=True)
class Origin:
    """An artifact and the origins of what it was made from."""

    artifact: Artifact
    parents: tuple["Origin", ...]

    @property
    def people(self) -> Mapping[str, int]:
        """Annotations by annotator: those made here, or those learnt from here."""
        results = self.artifact.results
        return results.get("consumed") or results.get("annotators") or {}

    @property
    def study(self) -> str:
        """Of the people; empty where it isn't known."""
        return str(self.artifact.results.get("study") or "")


def origin(opened: Run, stage: str) -> Origin:
    """Of the current artifact of `stage`. Raises UserError (did you mean) where there is none, or where something above is gone."""
    hashes = opened.current()
    if stage not in hashes:
        raise UserError(f"{opened.path}: no finished stage '{stage}'{closest(stage, hashes)}; finished are {', '.join(hashes) or 'none'}")
    return above(opened, stage, hashes[stage])


def above(opened: Run, stage: str, hash_: str) -> Origin:
    """The origin of one artifact."""
    artifact = opened.find(stage, hash_)
    if artifact is None:
        raise UserError(f"{opened.path}: {stage} {hash_[:12]} is not there any more; run the recipe again to make it")
    return Origin(artifact, tuple(above(opened, name, parent) for name, parent in artifact.parents.items()))


def everything(found: Origin) -> dict[str, Origin]:
    """Every origin at or above this one, once, by stage."""
    parts = {name: part for parent in found.parents for name, part in everything(parent).items()}
    return {**parts, found.artifact.stage: found}


def people(found: Origin) -> dict[str, int]:
    """Annotations that this artifact learnt from, by annotator: what learning stages consumed, else what was annotated above it. A name
    that people of two studies have stands there once for each, with the study's."""
    learners = [part for part in everything(found).values() if part.artifact.results.get("consumed")]
    counted: dict[tuple[str, str], int] = {}
    for part in learners or [part for part in everything(found).values() if part.people]:
        for name, number in part.people.items():
            counted[name, part.study] = max(counted.get((name, part.study), 0), number)
    return told_apart(counted)


def told_apart(counted: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """By name, sorted, from (name, study): with the study where the name alone would be two people's."""
    studies = Counter(name for name, _ in counted)
    return {name if studies[name] == 1 else f"{name} {of_study(study)}": n for (name, study), n in sorted(counted.items())}


def of_study(study: str) -> str:
    """`of study 01234567`: the beginning of an id, or the name of simulated annotators."""
    return f"of study {study if ':' in study else study[:8]}" if study else "of a study that isn't known"


def as_json(found: Origin) -> dict[str, Any]:
    """stage, hash, stages {name: method, hash, settings, parents, inputs, annotators}, inputs, people."""
    parts = everything(found)
    inputs = {name: hash_ for part in parts.values() for name, hash_ in part.artifact.inputs.items()}
    return {
        "schema": 1,
        "stage": found.artifact.stage,
        "hash": found.artifact.hash,
        "stages": {name: plain(part) for name, part in parts.items()},
        "inputs": inputs,
        "people": people(found),
    }


def plain(part: Origin) -> dict[str, Any]:
    """One stage for `as_json`."""
    artifact = part.artifact
    return {
        "method": artifact.method,
        "hash": artifact.hash,
        "created": artifact.created,
        "settings": dict(artifact.settings),
        "parents": dict(artifact.parents),
        "inputs": dict(artifact.inputs),
        "annotators": dict(artifact.results.get("annotators") or {}),
        "consumed": dict(artifact.results.get("consumed") or {}),
        "study": part.study,
    }


def as_tree(found: Origin) -> Tree:
    """For people: what it was made from, indented; a stage that appears twice is unfolded once."""
    tree = Tree(title(found))
    grow(tree, found, set())
    return tree


def grow(tree: Tree, found: Origin, seen: set[tuple[str, str]]) -> None:
    """Hang inputs, people and parents below `tree`."""
    for name, hash_ in found.artifact.inputs.items():
        tree.add(escape(f"input {name}  {hash_[:12]}"))
    if found.people:
        word = "learnt from" if found.artifact.results.get("consumed") else "annotated by"
        whose = f" {of_study(found.study)}" if found.study else ""
        branch = tree.add(escape(f"{word} {len(found.people)} annotators{whose}, {sum(found.people.values()):,} annotations"))
        for name, number in sorted(found.people.items()):
            branch.add(escape(f"{name}  {number:,}"))
    for parent in found.parents:
        which = (parent.artifact.stage, parent.artifact.hash)
        again = which in seen
        seen.add(which)
        branch = tree.add(title(parent) + (" (as above)" if again else ""))
        if not again:
            grow(branch, parent, seen)


def title(found: Origin) -> str:
    """Stage, method, hash and date in a line."""
    artifact = found.artifact
    return escape(f"{artifact.stage}  ({artifact.method}, {artifact.hash[:12]}, {artifact.created})")
