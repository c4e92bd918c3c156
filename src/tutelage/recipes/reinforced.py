"""What the stages of reinforcement learning share: everything but how credit is shared out and what is learnt from it.

Roles: the policy; its reference, frozen as it began, where something reads it; the reward model, frozen, unless a rule rewards; and
what a method adds. A prompt is answered, scored and learnt from in rounds.

What probes see during training (answers, scores, KL on prompts that nothing learns from) is written down for the evals; the truth
about the answers is not read here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge

from tutelage.core.artifact import Artifact
from tutelage.core.text import Prompt
from tutelage.data.render import Renderer
from tutelage.engine.engine import Engine
from tutelage.engine.ranks import ranks
from tutelage.engine.rates import Rates
from tutelage.engine.train import Probe, train
from tutelage.models import adapters
from tutelage.models.adapters import Adapter, Lora
from tutelage.models.loading import load_role
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.models.sampling import Sampling
from tutelage.models.weights import load_head
from tutelage.objectives.mixture import with_text
from tutelage.objectives.objective import Objective
from tutelage.objectives.sft import SFT
from tutelage.recipes import material, served
from tutelage.recipes.beside import Ptx, text_beside
from tutelage.recipes.budget import budget
from tutelage.recipes.probing import answers_and_scores, gold
from tutelage.recipes.stage import Context
from tutelage.recipes.training import Machine, TooLong, base_of, begin, fitting, frozen, learner, leave, note_voice, policy_of, renderer
from tutelage.recipes.work import Work
from tutelage.rollouts.collect import Collector, Phases
from tutelage.rollouts.credit import Crediting
from tutelage.rollouts.rewards import RewardModel, RuleReward, Scorer, load_rule
from tutelage.rollouts.server import Server
from tutelage.rollouts.source import Rollouts
from tutelage.rollouts.speaker import RoleSpeaker

GOLD = "synthetic:gold"
"""The truth as a reward: the skyline of the calibration; no other stage may learn from it."""


@dataclass(frozen=True)
class Learning:
    """What one method of reinforcement learning is, once its settings are known."""

    name: str
    objective: Objective
    credit: Crediting
    rates: Mapping[str, Rates]
    """By role."""
    roles: Callable[[Role], Mapping[str, Role]]
    """Given the policy, those beside it and its reference; "reward" where a model rewards."""


@dataclass(frozen=True)
class Reinforced:
    """The settings that every stage of reinforcement learning has."""

    takes: ClassVar = {"init": ("model",), "reward_model": ("reward",), "prompts": ("input",), "ptx": ("input",)}

    prompts: str
    """Prompts: an input."""
    reward_model: str
    """A reward stage; or a rule by import path, `my.module:function` of (Prompt, Response)."""
    init: str = "model"
    """The stage whose weights it begins with, and is kept close to."""
    split: Literal["label", "rl", "eval", "all"] = "rl"
    """Which of the prompts; `all` for prompts that nothing else uses (then set probe_every to 0)."""
    updates: Annotated[int, Ge(1)] | None = None
    """Rounds of sampling and learning; null: by the model's size (nano 2, tiny 80)."""
    kl_coef: Annotated[float, Ge(0.0)] = 0.2
    """Price of a nat of KL in the reward, in scaled units of reward (1 is the standard deviation over samples); 0.05-0.5: the lower, the
    further the policy goes, and the sooner it finds what the reward model is wrong about."""
    rollouts: Phases = field(default_factory=lambda: Phases(prompts=96, minibatches=2))
    max_tokens: Annotated[int, Ge(1)] = 64
    """Length at which a response is cut."""
    sampler: Server | None = None
    """A server that writes the responses, {url: ..., model: ...}; null: this process."""
    rates: Rates = field(default_factory=lambda: Rates(learning_rate=9e-4, schedule="linear", warmup=0.15, final=0.0))
    ptx: Ptx | None = None
    adapter: Adapter | None = None
    """Train a LoRA adapter (or DoRA, or a learnt prefix) instead of all weights; the reference is then the model without it."""
    too_long: TooLong = "refuse"
    """What to do with a prompt that leaves no room for a response."""
    probe_every: Annotated[int, Ge(0)] = 8
    """Updates between looks at fixed prompts of the eval split; 0: never."""
    probe_prompts: Annotated[int, Ge(1)] | None = None
    """How many of them; null: by the model's size (nano 16, tiny 128)."""
    machine: Machine = field(default_factory=lambda: Machine(checkpoint_every=32))

    def parents(self) -> dict[str, str]:
        named = {"init": self.init, "prompts": self.prompts}
        if not self.rule:
            named["reward_model"] = self.reward_model
        return {**named, "ptx.data": self.ptx.data} if self.ptx else named

    @property
    def rule(self) -> str:
        """The import path of a rule; empty where a stage rewards."""
        return self.reward_model if ":" in self.reward_model else ""

    def check(self, context: Context) -> None:
        if self.split == "all" and self.probe_every:
            raise context.fault("split", "with split: all no prompts are left to look at; set probe_every: 0")
        if self.rule and self.rule != GOLD:
            load_rule(self.rule)
        if self.rule == GOLD and context.inputs[self.prompts].synthetic is None:
            raise context.fault("reward_model", "synthetic:gold knows the truth about synthetic:prompts only")
        if self.rollouts.minibatches > self.rollouts.prompts:
            raise context.fault(
                "rollouts.minibatches", f"{self.rollouts.minibatches} is more than the {self.rollouts.prompts} prompts of a round"
            )
        if self.sampler:
            served.check(self.sampler, self.adapter, self.updates or budget(context.model).updates, context)

    def expected_tokens(self, context: Context) -> int:
        phase, asked = self.rollouts, context.size(self.prompts, "prompts").prompt
        tree = asked + phase.samples * context.answer(self.init, self.max_tokens)
        update = phase.epochs * phase.prompts * tree + phase.steps * (self.ptx.tokens if self.ptx else 0)
        return round(self.expected_updates(context) * update)

    def expected_updates(self, context: Context) -> int:
        """Rounds of sampling and learning."""
        return self.updates or budget(context.model).updates

    def judge(self, work: Work, policy: Role) -> dict[str, Role]:
        """The reward model as a role: an adapter of the policy's base where it was learnt as one on the same weights, else a network of its
        own; nothing where a rule rewards."""
        if self.rule:
            return {}
        folder = work.parent("reward_model").path
        if not self._one_base(work):
            return {"reward": load_role(folder / "model", torch.float32)[0]}
        network: Any = policy.network
        return {"reward": Role(adapters.load(network, folder / "adapter", "reward"), "reward", load_head(folder / "model"))}

    def _one_base(self, work: Work) -> bool:
        start, judge = work.sources["init"], work.parent("reward_model")
        own = judge.settings.get("adapter") or {}
        begun = judge.parents.get(judge.settings.get("init", ""))  # None: with the recipe's model
        same = begun == (start.hash if isinstance(start, Artifact) else None)
        plain = isinstance(self.adapter, Lora) and own.get("kind") == "lora" and not own["dora"]
        return same and plain and own.get("base", "as_is") == base_of(self.adapter)

    def reinforce(self, work: Work, how: Learning) -> dict[str, Any]:
        """The stage itself."""
        model, words = begin(work, self.adapter)
        note_voice(work, model)
        render = renderer(model, words, self.adapter)
        roles = self._roles(learner(model, self.adapter, work.seed), how)
        networks = len({id(role.network) for role in roles.values()})
        policy = policy_of(work, self.machine, roles, words, self.adapter)
        speaker = RoleSpeaker(policy, render.end)
        given = material.prompts(work.input("prompts"), self.split, work.seed)
        asked = fitting(work, given, lambda p: p, render, self.too_long, self.max_tokens)
        far = served.speaker(work, self.sampler, policy, self.adapter, render) if self.sampler else None
        collector = Collector(
            policy,
            far or speaker,
            [(prompt, render.prompt(prompt)) for prompt in asked],
            [self._scorer(work, render)],
            Sampling(max_tokens=self.max_tokens),
            self._phases(work),
            how.credit,
            part=how.name if self.ptx else "",
            together=ranks(),
        )
        if far and self.sampler:
            collector = replace(collector, refresh=far.refresh, cap=self.sampler.cap)
        text = text_beside(work, self.ptx, render) if self.ptx else None
        objective = with_text(how.name, how.objective, SFT(), self.ptx.coef) if self.ptx else how.objective
        engine = Engine(policy, objective, how.rates, self.machine.micro_tokens, ranks())
        steps = (self.updates or budget(work.model).updates) * self.rollouts.steps
        shown, every = ("score", "kl", "length"), self.machine.checkpoint_every
        probe = self._probe(work, policy, speaker, render, collector)
        source = Rollouts(collector, text, served.watched(work) if far else None)
        train(engine, source, steps, work.dir, work.progress, work.name, every, probe, shown)
        if far:
            far.close()
        return {**leave(work, policy, policy.roles["policy"]), "prompts": len(asked), "steps": steps, "networks": networks}

    def _roles(self, policy: Role, how: Learning) -> dict[str, Role]:
        """The reference is kept only where the credit, or a probe, reads it."""
        read = "logp@reference" in how.credit.needs or self.probe_every
        return {"policy": policy, **({"reference": frozen(policy, self.adapter)} if read else {}), **how.roles(policy)}

    def _phases(self, work: Work) -> Phases:
        """Every seed of a recipe samples anew."""
        return Phases(**{**vars(self.rollouts), "seed": self.rollouts.seed + 1_000_003 * work.seed})

    def _scorer(self, work: Work, render: Renderer) -> Scorer:
        if not self.rule:
            return RewardModel()
        rule = gold(work.seed) if self.rule == GOLD else load_rule(self.rule)
        return RuleReward("rule", rule, render.decode)

    def _probe(self, work: Work, policy: Policy, speaker: RoleSpeaker, render: Renderer, collector: Collector) -> Probe | None:
        if not self.probe_every:
            return None
        seen = material.prompts(work.input("prompts"), "eval", work.seed)[: self.probe_prompts or budget(work.model).probed_prompts]
        asked: Sequence[Prompt] = fitting(work, seen, lambda p: p, render, "leave_out", self.max_tokens)
        look = answers_and_scores(policy, speaker, render, collector.scorers, asked, collector.sampling, self.rollouts.cut_score)
        return Probe(self.probe_every * self.rollouts.steps, look)
