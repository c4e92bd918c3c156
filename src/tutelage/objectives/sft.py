"""Supervised fine-tuning, and pre-training as its case where every token is trained: the likelihood of what was written.

    L = - sum over trained tokens of log pi(y_t | x, y_<t)  /  number of trained tokens of the whole optimiser batch

Which tokens are trained is decided where they are rendered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from tutelage.data.batch import PackedBatch, pack
from tutelage.data.tree import OTHER, POLICY, Tree
from tutelage.objectives.objective import Objective, Read


@dataclass(frozen=True)
class SFT(Objective):
    """Imitate what was written. No settings of its own."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("nll",)

    @property
    def terms(self) -> Mapping[str, float]:
        return {"nll": 1.0}

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        batch = pack(trees)
        return batch.counting(nll=float(len(batch.rows_M)))

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        return {"nll": read["nll"]}

    def specimens(self) -> list[Tree]:
        """A short and a long response, a dialogue whose user turns are not trained, a plain document, a cut one."""
        return [
            Tree((3, 9, 11), ((12, 15, 16, 17, 18, 19, 20, 0),)),
            Tree((3, 9), ((21, 0),)),
            Tree((3, 7, 4), ((30, 31, 0, 3, 32, 33, 4, 34, 0),), writers=((POLICY,) * 3 + (OTHER,) * 4 + (POLICY,) * 2,)),
            Tree((), ((40, 41, 42, 43, 0),)),
            Tree((), ((50, 51, 52),), finished=(False,)),
        ]
