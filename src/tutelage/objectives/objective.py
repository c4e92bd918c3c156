"""What every objective is, and nothing more: what it reads, how it lays out its examples, and a pure function to sums.

    gradient = sum over terms of  weight[term] * d(sum of the term over the optimiser batch) / (count of the term)

A loss returns sums, the batch carries the counts, the engine alone divides: so no split into micro-batches, ranks or packed
streams can change the gradient. An objective never sees a model, a device, a rank or a micro-batch.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from tutelage.data.batch import PackedBatch
from tutelage.data.tree import Tree

Read = Mapping[str, Tensor]
"""What one traversal gave: "logp" [M], "entropy" [M], "value" [M] (of the state before each trained token), "score" [R] (at each
response's last token), "nll" (minus the sum of all logp, cheaper than "logp" where that is all that is wanted); with "@role" the same of
another role, without gradient unless that role is trained: "logp@reference", "value@value"; "kl@reference" [M] is the exact sum over the
vocabulary."""


class Objective(Protocol):
    """One file in `objectives/`: a frozen dataclass whose fields are the settings."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What `loss` reads, as named in `Read`."""
        ...

    def needs_for(self, part: str) -> tuple[str, ...]:
        """`needs` of one part of a mixture; the same for every other objective."""
        return self.needs

    @property
    def terms(self) -> Mapping[str, float]:
        """Weight of each trained term. Other sums that `loss` returns are only reported (as sum / count)."""
        ...

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        """Lay out trees of one part; set columns, and `counts` for every name that `loss` returns. Counts never depend on the model."""
        ...

    def prepare(self, reads: Sequence[Read], batches: Sequence[PackedBatch]) -> Sequence[Mapping[str, Tensor]]:
        """Joint statistics over the whole optimiser batch, computed without gradient, as further columns of each batch.

        Called only where `prepare_needs` is not empty.
        """
        return [{} for _ in batches]

    @property
    def prepare_needs(self) -> tuple[str, ...]:
        """What `prepare` reads; empty (the usual case) saves that pass."""
        return ()

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        """Sums over the batch, by term."""
        ...

    def specimens(self) -> list[Tree]:
        """A few small trees (ids below 64) that exercise every term: ragged, tied, cut short. The invariants run on them."""
        ...
