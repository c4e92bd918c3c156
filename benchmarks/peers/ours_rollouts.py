"""Our side of learning from one's own words: collector, source, engine and objective, put together as the stages do."""

import copy
import time
from collections.abc import Callable, Mapping

from benchmarks.peers import shapes
from benchmarks.peers.ours import Once, precision, threads
from tutelage.core.text import Prompt, ask
from tutelage.engine.engine import Engine
from tutelage.engine.rates import Rates
from tutelage.models.adapters import Lora, wrap
from tutelage.models.heads import ScalarHead
from tutelage.models.policy import Policy
from tutelage.models.roles import Role, causal, place, width
from tutelage.models.sampling import Sampling
from tutelage.objectives.grpo import GRPO
from tutelage.objectives.ppo import PPO
from tutelage.recipes.training import new_head
from tutelage.rollouts.collect import Collector, Phases
from tutelage.rollouts.group import GroupCredit
from tutelage.rollouts.rewards import RewardModel, RuleReward
from tutelage.rollouts.source import Rollouts
from tutelage.rollouts.speaker import RoleSpeaker

NOTHING_ENDS = -1
"""An id that no model writes: every response goes on to its limit."""
RATES = Rates(learning_rate=1e-5, schedule="constant", warmup=0.0)


def ppo(size: str, roles: Mapping[str, Role], samples: int) -> Once:
    """Episodes: one phase of sampling and its epochs."""
    plan = Phases(shapes.EPISODES // samples, samples, shapes.EPOCHS, shapes.MINIBATCHES, cut_score=None)
    policy = Policy({name: place(role, shapes.device()) for name, role in roles.items()}, shapes.tokenizer(), precision())
    speaker = RoleSpeaker(policy, NOTHING_ENDS)
    collector = Collector(policy, speaker, prompts(plan.prompts), [RewardModel()], Sampling(max_tokens=shapes.SAMPLED), plan)
    return phases(Rollouts(collector), Engine(policy, PPO(), {"policy": RATES, "value": RATES}), shapes.EPISODES)


def grpo(size: str) -> Once:
    """Completions: one phase, which is one optimizer step; the reference is in the loss, as in TRL."""
    threads()
    plan = Phases(shapes.GROUPS, shapes.GROUP, cut_score=None)
    network, words, objective = shapes.model(size), shapes.endless(size), GRPO(kl_coef=shapes.BETA)
    roles = {"policy": Role(network, trains=True), "reference": Role(copy.deepcopy(network))}
    policy = Policy({name: place(role, shapes.device()) for name, role in roles.items()}, words, precision())
    rule = RuleReward("even", lambda prompt, response: shapes.even(response.ids or ()), lambda ids: str(words.decode(list(ids))))
    credit = GroupCredit(kept=("logp@reference",))
    speaker, sampling = RoleSpeaker(policy, NOTHING_ENDS), Sampling(max_tokens=shapes.SAMPLED)
    collector = Collector(policy, speaker, prompts(plan.prompts), [rule], sampling, plan, credit)
    return phases(Rollouts(collector), Engine(policy, objective, {"policy": RATES}), shapes.GROUPS * shapes.GROUP, 2)


def phases(source: Rollouts, engine: Engine, responses: int, count: int = 1) -> Once:
    """`count` phases more at every call, `responses` in each."""
    steps = count * source.collector.phases.steps
    first = iter(range(0, 10**9, steps))

    def once() -> tuple[float, float]:
        begin, start = next(first), time.perf_counter()
        for step in range(begin, begin + steps):
            engine.step(source.trees(step), step, 10**9)
        shapes.finished()
        return count * responses, time.perf_counter() - start

    return once


def prompts(count: int) -> list[tuple[Prompt, tuple[int, ...]]]:
    given = shapes.prompts_with_responses(count, shapes.SAMPLED, 0, 0, 0)
    return [(ask(shapes.text(ids)), tuple(ids)) for ids, _ in given]


def networks(size: str) -> dict[str, Role]:
    """Four networks, two of which train."""
    threads()
    policy, scorer = shapes.model(size), shapes.model(size, 1)
    return {
        "policy": Role(policy, trains=True),
        "reference": Role(copy.deepcopy(policy)),
        "reward": Role(scorer, None, new_head(scorer, 1)),
        "value": Role(copy.deepcopy(scorer), None, ScalarHead(width(scorer)), trains=True),
    }


def one_base(size: str, shared: bool) -> dict[str, Role]:
    """One network with an adapter for each role but the reference, which is the network without; the value has one of its own, or is a head
    on the policy's hidden states."""
    threads()
    network = shapes.model(size)
    for seed, name in enumerate(("policy", "reward", "value")):
        network = wrap(network, Lora(), name, seed)
    return {
        "policy": Role(network, "policy", trains=True),
        "reference": Role(network),
        "reward": Role(network, "reward", new_head(causal(network), 1)),
        "value": Role(network, "policy" if shared else "value", ScalarHead(width(network)), trains=True),
    }


def value_head(size: str) -> dict[str, Role]:
    """Three networks, one of which trains, with words and values as its heads."""
    roles = networks(size)
    return {**roles, "value": Role(roles["policy"].network, None, ScalarHead(width(roles["policy"].network)), trains=True)}


ROLES: dict[str, Callable[[str], dict[str, Role]]] = {
    "": networks,
    ", value head": value_head,
    ", one base": lambda size: one_base(size, shared=False),
    ", one base and value head": lambda size: one_base(size, shared=True),
}
WORKS: dict[str, Callable[[str], Once]] = {
    **{f"ppo{name}": lambda size, roles=roles: ppo(size, roles(size), 1) for name, roles in ROLES.items()},
    **{f"ppo G=4{name}": lambda size, roles=roles: ppo(size, roles(size), 4) for name, roles in ROLES.items()},
    "grpo": grpo,
}
