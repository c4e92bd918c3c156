"""The reward model: scores whose differences explain what annotators preferred, on a scale that the next stages can rely on.

After training the score is shifted so that the demonstrations have mean 0 (InstructGPT section 3.5) and scaled so that the judged
samples have unit standard deviation; both constants are stored beside the weights.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from tutelage.data.render import Renderer
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.ranks import ranks
from tutelage.engine.rates import Rates
from tutelage.models.adapters import Adapter
from tutelage.models.heads import ScalarHead
from tutelage.models.policy import Policy
from tutelage.objectives.reward import Reward as Objective
from tutelage.recipes import material
from tutelage.recipes.judged import Amount, Preferences, consumed, expected_tokens, filter_of, learn, preference_trees
from tutelage.recipes.stage import Context, measured_apart
from tutelage.recipes.training import Machine, TooLong, begin, fitting, learner, leave, new_head, policy_of, renderer
from tutelage.recipes.work import Work
from tutelage.rollouts.reading import read_responses


@dataclass(frozen=True)
class Reward:
    """Train a reward model on preferences."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Literal["reward"]] = "reward"
    takes: ClassVar = {"init": ("model",), "preferences": ("annotations", "input"), "demonstrations": ("input", "nothing")}
    tasks: ClassVar = ("ranking", "pair", "best_worst")

    preferences: Preferences
    """Annotations of a label stage, or an input of chosen and rejected responses; {from: NAME, without: [ANNOTATOR],
    aggregate: dawid_skene, minimum_agreement: 0.6, weights: {ANNOTATOR: 0.5}} leaves people out, joins and weighs them."""
    init: str = "model"
    """The stage whose weights it begins with."""
    demonstrations: str | None = "demonstrations"
    """The input whose mean score is set to 0; null: the judged samples'."""
    epochs: Annotated[int, Ge(1)] = 1
    """Times each annotation is learnt from. InstructGPT: 1, more overfits."""
    batch: Annotated[int, Ge(1)] = 16
    """Annotations per optimiser step; 16-512."""
    center: Annotated[float, Ge(0.0)] = 0.0
    """Weight of the mean squared score during training; 0-0.1."""
    steps: Annotated[int, Ge(1)] | None = None
    """Optimiser steps; null: what the epochs take."""
    whole_epochs: bool = False
    """An epoch's last step has what is left of it, and no step rows of two epochs."""
    order: Annotated[int, Ge(0)] = 0
    """Another number learns from the same in another order: how much of a difference is chance."""
    split: Literal["label", "all"] = "label"
    """Of a file: `label` leaves out the tenth that evals measure on; `all` learns from every row, and nothing is measured on it."""
    max_length: Annotated[int, Ge(2)] | None = None
    """Tokens of prompt and response at which a response is cut; null: the model's context."""
    too_long: TooLong = "refuse"
    """What to do with an annotation whose prompt fills the context, or `max_length`."""
    rates: Rates = field(default_factory=lambda: Rates(learning_rate=5e-4, final=0.0))
    adapter: Adapter | None = None
    """Train a LoRA adapter (or DoRA, or a learnt prefix) and the head instead of all weights."""
    machine: Machine = field(default_factory=Machine)

    def parents(self) -> dict[str, str]:
        named = {"init": self.init, "preferences": filter_of(self.preferences).from_}
        return {**named, "demonstrations": self.demonstrations} if self.demonstrations else named

    def check(self, context: Context) -> None:
        measured_apart(self.split, context)

    def expected_tokens(self, context: Context) -> int | None:
        return expected_tokens(context, self.preferences, self._amount, self.split)

    @property
    def _amount(self) -> Amount:
        return Amount(self.batch, self.epochs, self.steps, self.whole_epochs, self.order)

    def run(self, work: Work) -> dict[str, Any]:
        annotations, told = consumed(work, self.preferences, self.split)
        model, words = begin(work, self.adapter)
        render = renderer(model, words, self.adapter, self.max_length)
        annotations = fitting(work, annotations, lambda a: a.prompt, render, self.too_long)
        trees = preference_trees(annotations, render, "reward")
        head = new_head(model, work.seed)
        policy = policy_of(work, self.machine, {"policy": learner(model, self.adapter, work.seed, head)}, words, self.adapter)
        engine = Engine(policy, Objective(self.center), {"policy": self.rates}, self.machine.micro_tokens, ranks())
        every, shown = self.machine.checkpoint_every, ("preference", "agree")
        steps = learn(work, engine, trees, self._amount, every, shown)
        scale = self._scale(work, policy, head, trees, render)
        left = leave(work, policy, policy.roles["policy"], head)
        return {**left, **told, **scale, "annotations": len(annotations), "tied": len(annotations) - len(trees), "steps": steps}

    def _scale(self, work: Work, policy: Policy, head: ScalarHead, trees: list[Tree], render: Renderer) -> dict[str, float]:
        """Read the raw scores of samples and demonstrations, and set the head's constants."""
        head.calibrate(0.0, 1.0)  # a resumed run may have been killed after this was set
        sampled = np.concatenate(read_responses(policy, trees[:512], ("score",))["score"])
        deviation = float(sampled.std())
        zero = sampled
        if work.sources.get("demonstrations") is not None:
            rows = material.demonstrations(work.input("demonstrations"), 60_000)[:1024]
            rows = fitting(work, rows, lambda row: row.prompt, render, "leave_out")
            shown = [tree for row in rows for tree in render.demonstration(row)]
            zero = np.concatenate(read_responses(policy, shown, ("score",))["score"])
        head.calibrate(float(zero.mean()), 1 / deviation if deviation > 0 else 1.0)
        return {"score_shift": float(zero.mean()), "score_deviation": deviation, "zero_n": len(zero)}
