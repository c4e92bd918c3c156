"""The invariants, one function each: an objective and a bench in, an outcome out.

Gradients are compared as whole vectors: |g - g'| / |g'|, in float64, so 1e-10 leaves no room for a fault.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tutelage.core.randomness import permutation, stream
from tutelage.data.batch import PackedBatch
from tutelage.data.tree import OTHER, POLICY, Tree
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import VOCABULARY, Bench, policy
from tutelage.engine.invariants.oracle import separate_reads
from tutelage.models.policy import Policy
from tutelage.objectives.objective import Objective, Read
from tutelage.rollouts.reading import laid, read_responses

EXACT = 1e-10
WHOLE = 1_000_000
"""Tokens: one micro-batch for everything."""


@dataclass(frozen=True)
class Outcome:
    """`error` is what was measured, `bound` the most it may be (0: to the bit)."""

    name: str
    bench: str
    error: float
    bound: float
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.error <= self.bound


def gradient(engine: Engine, trees: Sequence[Tree]) -> Tensor:
    """The gradient of an optimiser batch as one vector."""
    engine.forget()
    engine.gradients(trees)
    parts = [p.grad if p.grad is not None else torch.zeros_like(p) for ps in engine.parameters.values() for p in ps]
    return torch.cat([part.flatten() for part in parts]).clone()


def distance(a: Tensor, b: Tensor) -> float:
    """Relative norm of the difference; 1 when the truth is zero and the other isn't."""
    size = float(b.norm())
    return float((a - b).norm()) / size if size else float((a - b).norm() > 0)


def _engine(objective: Objective, bench: Bench, made: Policy | None = None, micro: int = WHOLE) -> Engine:
    return Engine(made or policy(bench, _all_needs(objective)), objective, micro_tokens=micro)


def _all_needs(objective: Objective) -> tuple[str, ...]:
    return (*objective.needs, *objective.prepare_needs)


def split(objective: Objective, bench: Bench) -> Outcome:
    """Micro-batches of any size give the gradient of the whole batch."""
    trees, made = objective.specimens(), policy(bench, _all_needs(objective))
    whole = gradient(_engine(objective, bench, made), trees)
    errors = [distance(gradient(_engine(objective, bench, made, micro), trees), whole) for micro in (1, 20, 45)]
    return Outcome("split", bench.name, max(errors), EXACT)


def tree(objective: Objective, bench: Bench) -> Outcome:
    """Packed trees give the gradient of separate passes through transformers' own attention."""
    trees, made = objective.specimens(), policy(bench, _all_needs(objective))
    packed = gradient(_engine(objective, bench, made), trees)
    alone = gradient(_engine(objective, bench, _Separately(made, trees)), trees)
    return Outcome("tree", bench.name, distance(packed, alone), EXACT)


class _Separately(Policy):
    """A policy that reads as the oracle does."""

    def __init__(self, made: Policy, trees: Sequence[Tree]) -> None:
        super().__init__(made.roles, attention=made.attention)
        self.trees = trees

    def read(self, batch: PackedBatch, needs: Sequence[str]) -> dict[str, Tensor]:
        own = [t for t in self.trees if t.part == batch.part]
        return separate_reads(self, own, batch, needs)


def mask(objective: Objective, bench: Bench) -> Outcome:
    """What stands as target at places that the policy didn't write changes no bit of the gradient; a finished response trains
    its end."""
    trees, made = objective.specimens(), policy(bench, _all_needs(objective))
    right = gradient(_engine(objective, bench, made), trees)
    wrong = gradient(_engine(_Retargeted(objective), bench, made), trees)
    untrained = _untrained_ends(objective, trees)
    note = f"{untrained} finished responses don't train their end" if untrained else ""
    return Outcome("mask", bench.name, distance(wrong, right) + untrained, 0.0, note)


class _Retargeted:
    """The objective, with other targets wherever the trees say that somebody else wrote the token."""

    def __init__(self, inner: Objective) -> None:
        self.inner = inner

    @property
    def needs(self) -> tuple[str, ...]:
        return self.inner.needs

    def needs_for(self, part: str) -> tuple[str, ...]:
        return self.inner.needs_for(part)

    @property
    def terms(self) -> Mapping[str, float]:
        return self.inner.terms

    @property
    def prepare_needs(self) -> tuple[str, ...]:
        return self.inner.prepare_needs

    def prepare(self, reads: Sequence[Read], batches: Sequence[PackedBatch]) -> Sequence[Mapping[str, Tensor]]:
        return self.inner.prepare(reads, batches)

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        return self.inner.loss(read, batch)

    def specimens(self) -> list[Tree]:
        return self.inner.specimens()

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        batch = self.inner.collate(trees)
        written = [w == POLICY for t in trees for w in (*t.prompt_writers, *(w for own in t.writers for w in own))]
        return replace(batch, target_T=torch.where(torch.tensor(written), batch.target_T, (batch.target_T + 7) % VOCABULARY))


def _untrained_ends(objective: Objective, trees: Sequence[Tree]) -> int:
    count = 0
    for part in dict.fromkeys(t.part for t in trees):
        own = [t for t in trees if t.part == part]
        batch = objective.collate(own)
        ends = [
            f and w[-1] == POLICY and len(t.prompt) + len(r) > 1
            for t in own
            for f, w, r in zip(t.finished, t.writers, t.responses, strict=True)
        ]
        rows = set(batch.rows_M.tolist())
        count += sum(end and place not in rows for end, place in zip(ends, batch.last_R.tolist(), strict=True))
    return count


def order(objective: Objective, bench: Bench) -> Outcome:
    """Neither the order of the examples nor having each of them twice changes the gradient."""
    trees, made = objective.specimens(), policy(bench, _all_needs(objective))
    right = gradient(_engine(objective, bench, made), trees)
    shuffled = [trees[i] for i in permutation(len(trees), "order")]
    errors = [distance(gradient(_engine(objective, bench, made), other), right) for other in (shuffled, [*trees, *trees])]
    return Outcome("order", bench.name, max(errors), EXACT)


def neighbors(objective: Objective, bench: Bench) -> Outcome:
    """Neither other trees' tokens nor a response's siblings change a number that is read of it."""
    made, error = policy(bench, objective.needs), 0.0
    for part in dict.fromkeys(t.part for t in objective.specimens()):
        trees = [t for t in objective.specimens() if t.part == part]
        needs = [need.replace("nll", "logp") for need in objective.needs_for(part)]  # the sum's terms, one by one
        right = _reads(made, objective.collate(trees), needs)
        first = 0
        for n, kept in enumerate(trees):
            for k in range(len(kept.responses)):
                mixed = [_scrambled(t, keep=k if t is kept else None) for t in trees]
                batch = objective.collate(mixed)
                read = _reads(made, batch, needs)
                error = max(error, *(_moved(read[need], right[need], batch, first + k, need) for need in needs))
            first += len(trees[n].responses)
    return Outcome("neighbors", bench.name, error, 1e-12)


def _scrambled(t: Tree, keep: int | None) -> Tree:
    """Other tokens everywhere, or everywhere but in the prompt and response `keep`."""
    draw = stream("scrambled", t.length, len(t.prompt))

    def other(ids: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(i) for i in draw.integers(2, VOCABULARY, len(ids)))

    prompt = t.prompt if keep is not None else other(t.prompt)
    return replace(t, prompt=prompt, responses=tuple(r if k == keep else other(r) for k, r in enumerate(t.responses)))


@torch.no_grad()
def _reads(made: Policy, batch: PackedBatch, needs: Sequence[str]) -> dict[str, Tensor]:
    return made.read(batch, needs)


def _moved(read: Tensor, right: Tensor, batch: PackedBatch, response: int, need: str) -> float:
    if need.startswith("score"):
        return float((read[response] - right[response]).abs())
    own_M = batch.response_M == response
    return float((read[own_M] - right[own_M]).abs().max()) if own_M.any() else 0.0


def reference(objective: Objective, bench: Bench) -> Outcome:
    """At step 0 a policy that starts as its reference differs from it by exactly 0, adapters included."""
    needs = [need for need in objective.needs if need.startswith("logp@")]
    made = policy(replace(bench, noise=0.0), _all_needs(objective), same_reference=True)
    error = 0.0
    for part in dict.fromkeys(t.part for t in objective.specimens()):
        batch = objective.collate([t for t in objective.specimens() if t.part == part])
        for need in needs:
            with torch.no_grad():
                read = made.read(batch, ("logp", need))
            error = max(error, float((read["logp"] - read[need]).abs().max()))
    return Outcome("reference", bench.name, error, 0.0, "" if needs else "reads no reference")


def kept(objective: Objective, bench: Bench) -> Outcome:
    """What was read of the reference once, and travels with the trees, gives the gradient of reading it beside the policy."""
    needs = sorted({need for need in _all_needs(objective) if need.startswith("logp@")})
    trees, made = objective.specimens(), policy(bench, _all_needs(objective))
    if not needs or any(POLICY in t.prompt_writers for t in trees):
        return Outcome("kept", bench.name, 0.0, EXACT, "reads no reference")
    right = gradient(_engine(objective, bench, made), trees)
    brought = [_bringing(made, t, [need for need in needs if need in objective.needs_for(t.part)]) for t in trees]
    others = {need.partition("@")[2] or "policy" for need in _all_needs(objective) if need not in needs}
    alone = Policy({name: role for name, role in made.roles.items() if name in {"policy", *others}}, attention=bench.attention)
    return Outcome("kept", bench.name, distance(gradient(_engine(objective, bench, alone), brought), right), EXACT)


def _bringing(made: Policy, t: Tree, needs: Sequence[str]) -> Tree:
    """The tree, with what `needs` names as columns."""
    read = read_responses(made, [t], needs)
    writers = [w if t.prompt else (OTHER, *w[1:]) for w in t.writers]  # nothing predicts the first token of a stream
    columns = {need: tuple(laid(*both) for both in zip(writers, rows, strict=True)) for need, rows in read.items()}
    return replace(t, columns={**t.columns, **columns})


CHECKS: dict[str, Callable[[Objective, Bench], Outcome]] = {
    check.__name__: check for check in (split, tree, mask, order, neighbors, reference, kept)
}
