"""The reference of a fixed data set, read once: what the policy says of each response before its first step.

The reference of a stage is the stage's own beginning, and until the first step the policy still is that. So its log-probabilities of
every response that will be learnt from are read then, kept beside the checkpoint, and travel with the trees as the column
"logp@reference" (`PackedBatch.brought`). No second network is held while the stage trains, and no response is read by the reference
twice, however many epochs follow and however often the stage is killed afterwards.

The streams of that reading are those of the first epoch's steps, so a stage of one epoch computes the bits that reading the reference in
every step would give: the first log-ratio is exactly 0, in bfloat16 too.
"""

import io
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tutelage.core.files import write_atomic
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.models.adapters import Adapter, Peft
from tutelage.models.roles import Role
from tutelage.objectives.objective import Objective
from tutelage.recipes.training import frozen
from tutelage.recipes.work import Work
from tutelage.rollouts.reading import laid, read_responses

LOGP = "logp@reference"
FILE = "reference.npz"
Rows = tuple["array[float]", ...]
"""A number for each token of each response of a tree; as arrays, because a data set has many."""


def reads(objective: Objective) -> list[str]:
    """What an objective reads of its reference."""
    return [need for need in dict.fromkeys((*objective.needs, *objective.prepare_needs)) if need.endswith("@reference")]


def beginning(role: Role, objective: Objective, adapter: Adapter | None = None) -> dict[str, Role]:
    """The reference, where the objective reads one: the policy's own network, without its adapter (with it, where it had learnt before),
    where all that is read of it is kept before the first step; a frozen copy where it is read in every step (for the exact KL over the
    vocabulary, say)."""
    if not reads(objective):
        return {}
    if reads(objective) != [LOGP]:
        return {"reference": frozen(role, adapter)}
    return {"reference": Role(role.network, role.adapter if isinstance(adapter, Peft) else None)}


def read_once(work: Work, engine: Engine, trees: Sequence[Tree], steps: Sequence[Sequence[int]]) -> list[Tree]:
    """`trees`, and beside those that `steps` learn from (their places, step by step) what the reference says of them. Called before
    the first step; the policy has no reference afterwards. Nothing happens where the objective reads none, or reads it in every step."""
    if reads(engine.objective) != [LOGP]:
        return list(trees)
    used = {place for step in steps for place in step}
    rows = load(work.dir / FILE, trees)
    if rows.keys() != used:
        rows = read(work, engine, trees, steps)
        if engine.ranks.rank == 0:
            save(work.dir / FILE, rows)
    del engine.policy.roles["reference"]
    return [replace(tree, columns={**tree.columns, LOGP: rows[n]}) if n in rows else tree for n, tree in enumerate(trees)]


def read(work: Work, engine: Engine, trees: Sequence[Tree], steps: Sequence[Sequence[int]]) -> dict[int, Rows]:
    """By place in `trees`. Each process reads its share of each step, in the engine's streams; those that were read are left out."""
    own: list[tuple[int, Rows]] = []
    seen: set[int] = set()
    work.progress.stage(f"{work.name}: reference", len(steps))
    for done, step in enumerate(steps, 1):
        first = {place: n for n, place in reversed(list(enumerate(step))) if place not in seen}
        seen |= first.keys()
        places = [place for n, place in engine.ranks.share(list(enumerate(step))) if first.get(place) == n]
        found = iter(read_responses(engine.policy, [trees[place] for place in places], (LOGP,), engine.micro_tokens)[LOGP])
        own += [(place, tuple(array("d", laid(writers, next(found))) for writers in trees[place].writers)) for place in places]
        work.progress.tick(done, 0)  # the stage's tokens are those that it learns from
    return dict(engine.ranks.gather(own))


def save(path: Path, rows: Mapping[int, Rows]) -> None:
    """Whole or not at all."""
    buffer = io.BytesIO()
    flat = np.concatenate([np.frombuffer(row) for tree in rows.values() for row in tree])
    np.savez(buffer, places=np.array(list(rows), dtype=np.int64), logp=flat)
    write_atomic(path, buffer.getvalue())


def load(path: Path, trees: Sequence[Tree]) -> dict[int, Rows]:
    """What an earlier process kept of these trees; empty where there is nothing, or not of these."""
    if not path.exists():
        return {}
    with np.load(path) as kept:
        places, flat = kept["places"].tolist(), kept["logp"]
    lengths = [[len(ids) for ids in trees[place].responses] for place in places if place < len(trees)]
    if len(lengths) < len(places) or sum(map(sum, lengths)) != len(flat):
        return {}
    pieces = iter(np.split(flat, np.cumsum([n for tree in lengths for n in tree])[:-1]))
    return {place: tuple(array("d", next(pieces).tolist()) for _ in tree) for place, tree in zip(places, lengths, strict=True)}
