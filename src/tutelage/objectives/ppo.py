"""PPO: make tokens that did better than expected likelier, in steps too small to leave the sampled data behind.

    policy   -min(rho A, clip(rho, 1 - clip, 1 + clip) A),   rho = pi(token) / pi_old(token)   Schulman et al., 1707.06347, eq. 7
    value    1/2 max((V - G)^2, (V kept within value_clip of V_old - G)^2)                      Stiennon et al., 2009.01325, code

The reward that A and G are made of is the first part of InstructGPT's eq. 2 (Ouyang et al., 2203.02155): the score minus
beta log(pi / pi_ref); rollouts/credit.py makes it, so that here is nothing but the two losses. The second part (pre-training
text) is objectives/mixture.py. Differences: one optimiser batch has one denominator, the number of tokens the policy wrote in
it, so long responses weigh by their tokens however the batch is split; advantages arrive whitened over the whole rollout batch;
the value is a model of its own (a copy of the reward model), so `value_coef` moves no policy weight.

Shape suffixes: M tokens the policy wrote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from tutelage.data.batch import PackedBatch, pack, token_column
from tutelage.data.tree import Tree
from tutelage.objectives.objective import Objective, Read
from tutelage.objectives.surrogate import FIGURES, clipped_policy_loss, policy_figures, rollout_specimens

COLUMNS = ("logp", "advantage", "return", "value")
"""What `Tree.columns` must hold for each response token: log-probability under the policy that sampled (nats), whitened
advantage, return and value (both in scaled units of reward) before the update."""

METRICS = (*FIGURES, "value_error", "value_clip_share")
"""Told beside the losses."""


def clipped_value_loss(value_M: Tensor, old_M: Tensor, return_M: Tensor, clip: float | None) -> Tensor:
    """[M] half the squared error, the larger of the value as it is and the value kept within `clip` of the old one."""
    error_M = (value_M - return_M) ** 2
    if clip is None:
        return error_M / 2
    near_M = old_M + (value_M - old_M).clamp(-clip, clip)
    return torch.maximum(error_M, (near_M - return_M) ** 2) / 2


@dataclass(frozen=True)
class PPO(Objective):
    """The policy's and the value's clipped losses, per token that the policy wrote."""

    clip: Annotated[float, Gt(0.0), Lt(1.0)] = 0.2
    """How far the ratio may leave 1 before its gradient stops; (0, 1), usually 0.1-0.3."""
    value_clip: Annotated[float, Gt(0.0)] | None = 0.2
    """How far a value may move from the old one per phase, in scaled units of reward; > 0, or null for no limit."""
    value_coef: Annotated[float, Gt(0.0)] | None = None
    """Weight of the value loss; > 0. null: 1 for a value with weights of its own, where under Adam it only matters if gradients are
    clipped; 0.1 for one that shares the policy's, where 1 can lose the policy (docs/decisions.md)."""
    entropy_coef: Annotated[float, Ge(0.0)] = 0.0
    """Weight of the bonus for entropy, per nat and token; >= 0, usually 0: the KL in the reward already keeps the policy wide."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("logp", "value@value", "entropy") if self.entropy_coef else ("logp", "value@value")

    @property
    def terms(self) -> Mapping[str, float]:
        weights = {"policy": 1.0, "value": 1.0 if self.value_coef is None else self.value_coef}
        return {**weights, "entropy": -self.entropy_coef} if self.entropy_coef else weights

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        """Columns logp_old_M, advantage_M, return_M, value_old_M; every term is counted in tokens that the policy wrote."""
        logp, advantage, returned, value = (token_column(trees, name) for name in COLUMNS)
        batch = pack(trees).with_columns(logp_old_M=logp, advantage_M=advantage, return_M=returned, value_old_M=value)
        return batch.counting(**{name: float(len(batch.rows_M)) for name in (*self.terms, *METRICS)})

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        logp_M, value_M = read["logp"], read["value@value"]
        advantage_M, return_M, old_M = batch["advantage_M"], batch["return_M"], batch["value_old_M"]
        log_ratio_M = logp_M - batch["logp_old_M"]
        sums = {
            "policy": clipped_policy_loss(log_ratio_M.exp(), advantage_M, self.clip).sum(),
            "value": clipped_value_loss(value_M, old_M, return_M, self.value_clip).sum(),
        }
        if self.entropy_coef:
            sums["entropy"] = read["entropy"].sum()
        return sums | policy_figures(log_ratio_M, advantage_M, self.clip) | self._value_figures(value_M.detach(), batch)

    def _value_figures(self, value_M: Tensor, batch: PackedBatch) -> dict[str, Tensor]:
        """A value is clipped where it has moved further than the limit."""
        clipped_M = (value_M - batch["value_old_M"]).abs() > (self.value_clip if self.value_clip is not None else torch.inf)
        return {"value_error": ((value_M - batch["return_M"]) ** 2).sum(), "value_clip_share": clipped_M.to(value_M.dtype).sum()}

    def specimens(self) -> list[Tree]:
        return rollout_specimens("ppo", {"logp": (-4.0, 0.3), "advantage": (0.0, 1.0), "return": (0.2, 1.0), "value": (0.0, 0.3)})
