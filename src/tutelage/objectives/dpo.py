"""Direct preference optimisation: the policy is its own reward model.

    reward(x, y) = beta * [ log pi(y|x) - log ref(y|x) ]                                        arXiv 2305.18290, eq. 7
    L = - sum over pairs of weight * log sigmoid( reward(x, y_w) - reward(x, y_l) )

A ranking of K gives all its pairs as one unit, and each response is read once by each role.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt
from torch import Tensor

from tutelage.data.batch import PackedBatch
from tutelage.data.tree import Tree
from tutelage.objectives.objective import Objective, Read
from tutelage.objectives.preferences import collate_preferences, preference_specimens, preference_sums


@dataclass(frozen=True)
class DPO(Objective):
    beta: Annotated[float, Gt(0.0)] = 0.1
    """How dearly the policy pays for leaving the reference. 1 / nats; 0.1-0.5 in the paper."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("logp", "logp@reference")

    @property
    def terms(self) -> Mapping[str, float]:
        return {"preference": 1.0}

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        batch = collate_preferences(trees)
        return batch.counting(reward=float(len(batch.last_R)))

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        reward_R = self.beta * batch.sum_R(read["logp"] - read["logp@reference"])
        return {**preference_sums(reward_R, batch), "reward": reward_R.detach().sum()}

    def specimens(self) -> list[Tree]:
        return preference_specimens()
