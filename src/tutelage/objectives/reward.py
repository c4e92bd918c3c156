"""Reward model: scores whose differences explain people's preferences.

    L = - sum over pairs (w, l) of weight * log sigmoid(r(x, y_w) - r(x, y_l))         InstructGPT (arXiv 2203.02155), eq. 1

All pairs of one ranking are one unit, as in InstructGPT (shuffled as independent points they overfit in an epoch), and its K
responses are read once, not K - 1 times. The score is read at the response's last token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from tutelage.data.batch import PackedBatch
from tutelage.data.tree import Tree
from tutelage.objectives.objective import Objective, Read
from tutelage.objectives.preferences import collate_preferences, preference_specimens, preference_sums


@dataclass(frozen=True)
class Reward(Objective):
    center: Annotated[float, Ge(0.0)] = 0.0
    """Weight of the mean squared score, which keeps scores near 0 (arXiv 2312.09244; 0.01 there). 1 / score^2; 0-0.1."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("score",)

    @property
    def terms(self) -> Mapping[str, float]:
        return {"preference": 1.0, "square": self.center} if self.center else {"preference": 1.0}

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        batch = collate_preferences(trees)
        return batch.counting(score=float(len(batch.last_R)), square=float(len(batch.last_R)))

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        score_R = read["score"]
        sums = preference_sums(score_R, batch)
        return {**sums, "score": score_R.detach().sum(), "square": (score_R**2).sum()}

    def specimens(self) -> list[Tree]:
        return preference_specimens()
