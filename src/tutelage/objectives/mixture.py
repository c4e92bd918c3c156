"""Several objectives on one policy, each on trees of its own: gradient = sum over parts of weight * that part's gradient.

PPO-ptx is InstructGPT's eq. 2 (Ouyang et al., 2203.02155): reward minus KL, plus gamma E[log pi(x)] over pre-training text.
Here it reads

    mean policy loss per sampled token  +  value_coef * mean value loss  +  coef * mean NLL per pre-training token

Each part has its own counts, so neither the number of sampled tokens nor that of the text moves the balance; `coef` is
therefore not InstructGPT's 27.8, whose loss was normalised otherwise and stood against another scale of advantages.

A tree says its part (`Tree.part`); parts never share a stream, and each is read only for what it needs itself. All names of
terms, sums and counts are written "part/name".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from tutelage.data.batch import PackedBatch
from tutelage.data.tree import Tree
from tutelage.objectives.objective import Objective, Read

TEXT = "ptx"
"""The part that pre-training text is."""


@dataclass(frozen=True)
class Part(Objective):
    """One objective under a name and a weight."""

    name: str
    objective: Objective
    weight: float = 1.0
    """Multiplies every term of the objective; > 0."""

    @property
    def needs(self) -> tuple[str, ...]:
        return self.objective.needs

    @property
    def prepare_needs(self) -> tuple[str, ...]:
        return self.objective.prepare_needs

    @property
    def terms(self) -> Mapping[str, float]:
        return {self._named(term): self.weight * weight for term, weight in self.objective.terms.items()}

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        batch = self.objective.collate(trees)
        return replace(batch, counts={self._named(name): count for name, count in batch.counts.items()})

    def prepare(self, reads: Sequence[Read], batches: Sequence[PackedBatch]) -> Sequence[Mapping[str, Tensor]]:
        return self.objective.prepare(reads, batches) if self.prepare_needs else [{} for _ in batches]

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        return {self._named(name): total for name, total in self.objective.loss(read, batch).items()}

    def specimens(self) -> list[Tree]:
        return [replace(tree, part=self.name) for tree in self.objective.specimens()]

    def _named(self, name: str) -> str:
        return f"{self.name}/{name}"


@dataclass(frozen=True)
class Mixture(Objective):
    """Delegates each stream to the part that its trees name."""

    parts: tuple[Part, ...]
    """Each with a name of its own."""

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"the parts of a mixture need a name each, and different ones; got {names}")

    def for_part(self, name: str) -> Part:
        """The part that a tree or a batch names. ValueError where there is none."""
        for part in self.parts:
            if part.name == name:
                return part
        raise ValueError(f"no part '{name}' in this mixture; it has {[part.name for part in self.parts]}")

    @property
    def needs(self) -> tuple[str, ...]:
        """The union; `needs_for(name)` is what one stream has to be read for."""
        return _union(part.needs for part in self.parts)

    def needs_for(self, part: str) -> tuple[str, ...]:
        return self.for_part(part).needs

    @property
    def prepare_needs(self) -> tuple[str, ...]:
        return _union(part.prepare_needs for part in self.parts)

    @property
    def terms(self) -> Mapping[str, float]:
        return {term: weight for part in self.parts for term, weight in part.terms.items()}

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        """The part's own layout. Trees of two parts in one call are a ValueError."""
        names = {tree.part for tree in trees}
        if len(names) != 1:
            raise ValueError(f"trees of different parts can't share a stream; got {sorted(names)}")
        return self.for_part(trees[0].part).collate(trees)

    def prepare(self, reads: Sequence[Read], batches: Sequence[PackedBatch]) -> Sequence[Mapping[str, Tensor]]:
        """Each part over all batches of its own."""
        columns: list[Mapping[str, Tensor]] = [{} for _ in batches]
        for part in self.parts:
            own = [n for n, batch in enumerate(batches) if batch.part == part.name]
            for n, made in zip(own, part.prepare([reads[n] for n in own], [batches[n] for n in own]), strict=True):
                columns[n] = made
        return columns

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        return self.for_part(batch.part).loss(read, batch)

    def specimens(self) -> list[Tree]:
        return [tree for part in self.parts for tree in part.specimens()]


def with_text(part: str, objective: Objective, text: Objective, coef: float) -> Mixture:
    """`objective` on trees of `part`, and `coef` times the loss of `text` (SFT, on documents) on trees of part `TEXT`.

    `coef` weighs nats per text token against the objective's mean; > 0. With PPO this is PPO-ptx.
    """
    return Mixture((Part(part, objective), Part(TEXT, text, coef)))


def _union(needs: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for some in needs for name in some))
