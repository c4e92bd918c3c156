"""GRPO and RLOO against a reward model or a rule: each response is measured by the others to its prompt, and there is no value model.

Roles are those of every stage of reinforcement learning (recipes/reinforced.py). The KL is in the reward, as PPO's is, so that its
price stays in units of reward whatever `scale` divides by; `loss.kl_coef` puts it into the loss instead, as GRPO was published, and
leads to another optimum (docs/decisions.md). Without either the reference is read by probes alone.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

from tutelage.engine.rates import Rates
from tutelage.objectives.grpo import GRPO
from tutelage.recipes.reinforced import Learning, Reinforced
from tutelage.recipes.stage import Context
from tutelage.recipes.work import Work
from tutelage.rollouts.collect import Phases
from tutelage.rollouts.group import Baseline, GroupCredit, Scale


@dataclass(frozen=True)
class Grpo(Reinforced):
    """Reinforce what a reward model (or a rule) scores higher than the policy's other responses to the same prompt."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Literal["model"]] = "model"

    baseline: Baseline = "mean"
    """What a response's reward is measured against: the mean of its group, or `leave_one_out`, that of the others (RLOO)."""
    scale: Scale = "group"
    """What advantages are divided by: the standard deviation of the group's rewards, that of the round's (`batch`), or nothing (`none`)."""
    rollouts: Phases = field(default_factory=lambda: Phases(prompts=48, samples=8, minibatches=2))
    loss: GRPO = field(default_factory=GRPO)
    rates: Rates = field(default_factory=lambda: Rates(learning_rate=9e-4, schedule="linear", warmup=0.05, final=0.0))

    def check(self, context: Context) -> None:
        super().check(context)
        if self.rollouts.samples < 2:
            raise context.fault("rollouts.samples", "a response is measured by the others to its prompt, so there must be 2 or more")
        if self.kl_coef and self.loss.kl_coef:
            raise context.fault("loss.kl_coef", "the KL is in the reward already; set kl_coef: 0 to have it in the loss instead")

    def run(self, work: Work) -> dict[str, Any]:
        kept = tuple(need for need in self.loss.needs if "@" in need)
        credit = GroupCredit(self.kl_coef, self.baseline, self.scale, kept)
        return self.reinforce(work, Learning("grpo", self.loss, credit, {"policy": self.rates}, partial(self.judge, work)))
