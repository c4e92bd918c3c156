"""PPO against a reward model or a rule, with the KL to the beginning in the reward and, if wanted, pre-training text beside (PPO-ptx).

Beside the roles of every stage of reinforcement learning (recipes/reinforced.py) there is the value model, which begins as the network
of the reward model (under a rule, of the policy) with a head of zeros. InstructGPT, appendix C.4, keeps the reward model's head;
trained at last tokens only, it explains returns at the others far worse than nothing would (docs/decisions.md). With an adapter all
roles can be adapters of one base, and with `value: shared` the value is no more than a head.
"""

import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, cast

from tutelage.engine.rates import Rates
from tutelage.models import adapters
from tutelage.models.adapters import Lora, Peft
from tutelage.models.heads import ScalarHead
from tutelage.models.roles import Role, causal, width
from tutelage.objectives.ppo import PPO
from tutelage.recipes.reinforced import Learning, Reinforced
from tutelage.recipes.work import Work
from tutelage.rollouts.credit import Credit

SHARED = 0.1
"""Weight of the loss of a value that shares the policy's weights."""


@dataclass(frozen=True)
class Ppo(Reinforced):
    """Reinforce what a reward model (or a rule) scores high."""

    revision: ClassVar[int] = 2
    produces: ClassVar[Literal["model"]] = "model"

    loss: PPO = field(default_factory=PPO)
    value: Literal["own", "shared"] = "own"
    """own: a network of its own, or an adapter where the policy is one; shared: a head on the policy's hidden states, which then learn from
    both losses (loss.value_coef is 0.1 there if not set). Half the work, and the policy pays for what the value learns."""
    value_rates: Rates = field(default_factory=lambda: Rates(learning_rate=5e-4, schedule="linear", warmup=0.0))

    def run(self, work: Work) -> dict[str, Any]:
        rates = {"policy": self.rates, "value": self.value_rates}
        light = self.value == "shared" and self.loss.value_coef is None
        loss = replace(self.loss, value_coef=SHARED) if light else self.loss
        return self.reinforce(work, Learning("ppo", loss, Credit(self.kl_coef), rates, partial(self._beside, work)))

    def _beside(self, work: Work, policy: Role) -> dict[str, Role]:
        judge = self.judge(work, policy)
        return {**judge, "value": self._value(work, policy, judge.get("reward"))}

    def _value(self, work: Work, policy: Role, reward: Role | None) -> Role:
        """With a head of zeros. An adapter on the reward model's own network leaves that, read without it, as it is."""
        if self.value == "shared":
            return Role(policy.network, policy.adapter, ScalarHead(width(policy.network)), trains=True)
        lora = self.adapter if isinstance(self.adapter, Lora) else None
        learnt = policy.adapter if isinstance(self.adapter, Peft) else None
        begins = reward or Role(policy.network if lora or learnt else causal(policy.network), learnt)
        network, head = cast(Any, begins.network), ScalarHead(width(begins.network))
        if begins.adapter is not None and begins.network is policy.network:
            adapters.duplicate(network, begins.adapter, "value")
        elif lora and begins.adapter is None:
            network = begins.network = adapters.wrap(network, lora, "value", work.seed)
        else:
            return Role(copy.deepcopy(network), begins.adapter, head, trains=True)
        return Role(network, "value", head, trains=True)
