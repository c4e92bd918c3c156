"""GRPO: make every token of a response likelier by how much better the response did than the others to its prompt.

    policy   -min(rho A, clip(rho, 1 - clip, 1 + clip_high) A),   rho = pi(token) / pi_old(token)
    kl       kl_coef * (u - 1 - log u),   u = pi_ref(token) / pi(token)                 Shao et al., 2402.03300, eq. 3 and 4 (k3)

A is a number per response, the same for each of its tokens: its reward against its group's (rollouts/group.py, GRPO and RLOO). No value
is learnt. A limit of its own above 1 is DAPO's (Yu et al., 2503.14476, eq. 8). `per` says what one unit is:

    token      sum over tokens / number of tokens of the optimiser batch: long responses weigh by their tokens    DAPO, eq. 8
    response   sum over responses of the mean over their tokens / number of responses                             GRPO, eq. 3

In both the number is known before the model is read, so no split of the batch changes the gradient. Under `response` a token of a long
response counts less, which rewards being long where one is wrong (Liu et al., 2503.20783).

The KL in the loss is 0 by default: the stage puts its KL into the reward, as PPO does. Its gradient is not that of the KL which its
value estimates, but of KL(pi_ref || pi), whose optimum lies elsewhere (docs/decisions.md).

Shape suffixes: M tokens the policy wrote, R responses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from tutelage.data.batch import PackedBatch, pack, token_column
from tutelage.data.tree import Tree
from tutelage.objectives.objective import Objective, Read
from tutelage.objectives.surrogate import FIGURES, clipped_policy_loss, policy_figures, rollout_specimens


def k3(logp_M: Tensor, reference_M: Tensor) -> Tensor:
    """[M] of each token, in nats: never negative, and on average over the policy's own tokens KL(pi || pi_ref)."""
    log_ratio_M = reference_M - logp_M
    return log_ratio_M.exp() - 1 - log_ratio_M


@dataclass(frozen=True)
class GRPO(Objective):
    """The policy's clipped loss on advantages relative to a group, without a value model."""

    clip: Annotated[float, Gt(0.0), Lt(1.0)] = 0.2
    """How far below 1 the ratio may go before its gradient stops; (0, 1), usually 0.1-0.3."""
    clip_high: Annotated[float, Gt(0.0)] | None = None
    """How far above 1; > 0, 0.28 in DAPO: unlikely tokens may then grow faster. null: as `clip`."""
    per: Literal["token", "response"] = "token"
    """What each term is a mean over: tokens that the policy wrote, or responses, each by the mean over its tokens."""
    kl_coef: Annotated[float, Ge(0.0)] = 0.0
    """Weight of the KL to the reference in the loss, per nat; 0 (then the reference is not read) or 0.001-0.05."""
    entropy_coef: Annotated[float, Ge(0.0)] = 0.0
    """Weight of the bonus for entropy, per nat; >= 0, usually 0."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Rollouts bring "logp@reference" with them, so that the reference is not read again."""
        wanted = {"logp": True, "logp@reference": self.kl_coef > 0, "entropy": self.entropy_coef > 0}
        return tuple(need for need, used in wanted.items() if used)

    @property
    def terms(self) -> Mapping[str, float]:
        weights = {"policy": 1.0, "k3@reference": self.kl_coef, "entropy": -self.entropy_coef}
        return {term: weight for term, weight in weights.items() if weight}

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        """Columns logp_old_M, advantage_M and weight_M, a token's share of one unit; terms are counted in units, figures in tokens."""
        logp, advantage = (token_column(trees, name) for name in ("logp", "advantage"))
        batch = pack(trees)
        length_R = batch.sum_R(torch.ones(len(batch.rows_M), dtype=torch.float64))
        tokens, responses = float(len(batch.rows_M)), float((length_R > 0).sum())
        weight_M = 1 / length_R[batch.response_M] if self.per == "response" else torch.ones_like(logp)
        return batch.with_columns(logp_old_M=logp, advantage_M=advantage, weight_M=weight_M).counting(
            **dict.fromkeys(self.terms, responses if self.per == "response" else tokens), **dict.fromkeys(FIGURES, tokens)
        )

    def loss(self, read: Read, batch: PackedBatch) -> Mapping[str, Tensor]:
        logp_M, advantage_M, weight_M = read["logp"], batch["advantage_M"], batch["weight_M"]
        log_ratio_M = logp_M - batch["logp_old_M"]
        losses = {"policy": clipped_policy_loss(log_ratio_M.exp(), advantage_M, self.clip, self.clip_high)}
        if self.kl_coef:
            losses["k3@reference"] = k3(logp_M, read["logp@reference"])
        if self.entropy_coef:
            losses["entropy"] = read["entropy"]
        sums = {term: (weight_M * loss_M).sum() for term, loss_M in losses.items()}
        return sums | policy_figures(log_ratio_M, advantage_M, self.clip, self.clip_high)

    def specimens(self) -> list[Tree]:
        return rollout_specimens("grpo", {"logp": (-4.0, 0.3), "advantage": (0.0, 1.0)})
