"""SimPO: preference optimisation without a reference; the reward is the mean log-probability of a response's tokens.

    reward(x, y) = beta / |y| * log pi(y|x)                                            Meng et al., 2405.14734, eq. 4
    L = - sum over pairs of weight * log sigmoid( reward(x, y_w) - reward(x, y_l) - gamma )                     eq. 6

|y| counts the tokens that the policy wrote, the end included. Different here: a ranking of K gives all its pairs as one unit, and
each response is read once.

M trained tokens, R responses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from tutelage.data.batch import PackedBatch
from tutelage.data.tree import Tree
from tutelage.objectives.objective import Objective, Read
from tutelage.objectives.preferences import collate_preferences, preference_specimens, preference_sums


@dataclass(frozen=True)
class SimPO(Objective):
    beta: Annotated[float, Gt(0.0)] = 2.0
    """What a difference in mean log-probability is multiplied by. 1 / nats per token; 2-10 in the paper."""
    gamma: Annotated[float, Ge(0.0)] = 1.0
    """How far the winner's reward must lead. No unit; 0 to beta, in the paper 0.3-1.6 for a beta of 2-2.5."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("logp",)

    @property
    def terms(self) -> Mapping[str, float]:
        return {"preference": 1.0}

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        batch = collate_preferences(trees)
        length_R = batch.sum_R(torch.ones(len(batch.rows_M), dtype=torch.float64))
        return batch.with_columns(length_R=length_R).counting(reward=float(len(batch.last_R)))

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        logp_M = read["logp"]
        reward_R = self.beta * batch.sum_R(logp_M) / batch["length_R"].to(logp_M.dtype)
        return {**preference_sums(reward_R, batch, self.gamma), "reward": reward_R.detach().sum()}

    def specimens(self) -> list[Tree]:
        return preference_specimens()
