"""PPO against a reward model or a rule, with the KL to the beginning in the reward and, if wanted, pre-training text beside (PPO-ptx).

Beside the roles of every stage of reinforcement learning (recipes/reinforced.py) there is the value model, which begins as the network
of the reward model (under a rule, of the policy) with a head of zeros. InstructGPT, appendix C.4, keeps the reward model's head;
trained at last tokens only, it explains returns at the others far worse than nothing would (docs/decisions.md).
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from tutelage.engine.rates import Rates
from tutelage.models.heads import ScalarHead
from tutelage.models.roles import Role, width
from tutelage.objectives.ppo import PPO
from tutelage.recipes.reinforced import Learning, Reinforced
from tutelage.recipes.training import begin
from tutelage.recipes.work import Work
from tutelage.rollouts.credit import Credit


@dataclass(frozen=True)
class Ppo(Reinforced):
    """Reinforce what a reward model (or a rule) scores high."""

    revision: ClassVar[int] = 2
    produces: ClassVar[Literal["model"]] = "model"

    loss: PPO = field(default_factory=PPO)
    value_rates: Rates = field(default_factory=lambda: Rates(learning_rate=5e-4, schedule="linear", warmup=0.0))

    def run(self, work: Work) -> dict[str, Any]:
        judge = self.judge(work)
        rates = {"policy": self.rates, "value": self.value_rates}
        return self.reinforce(work, Learning("ppo", self.loss, Credit(self.kl_coef), rates, {**judge, "value": self._value(work, judge)}))

    def _value(self, work: Work, judge: Mapping[str, Role]) -> Role:
        network = copy.deepcopy(judge["reward"].network) if judge else begin(work)[0]
        return Role(network, None, ScalarHead(width(network)), trains=True)
