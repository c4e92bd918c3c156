"""Any objective on annotations, without a reward model: dpo, and yours by import path.

The objective says what it reads; the roles follow from that: `...@reference` is what the stage began with, read once before the first
step where log-probabilities are all that is wanted of it (recipes/reference.py); a score or a value brings a scalar head.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from tutelage.engine.engine import Engine
from tutelage.engine.ranks import ranks
from tutelage.engine.rates import Rates
from tutelage.models.adapters import Adapter
from tutelage.models.policy import SCALARS
from tutelage.recipes.judged import Amount, Preferences, consumed, expected_tokens, filter_of, learn, preference_trees
from tutelage.recipes.reference import beginning
from tutelage.recipes.stage import Context, measured_apart
from tutelage.recipes.training import Machine, TooLong, begin, fitting, learner, leave, new_head, policy_of, renderer
from tutelage.recipes.work import Work


@dataclass(frozen=True)
class Preference:
    """Train a policy on preferences directly."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Literal["model"]] = "model"
    takes: ClassVar = {"init": ("model",), "preferences": ("annotations", "input")}
    tasks: ClassVar = ("ranking", "pair", "best_worst")

    preferences: Preferences
    """Annotations of a label stage, or an input of chosen and rejected responses; {from: NAME, without: [ANNOTATOR]} leaves people out."""
    init: str = "model"
    """The stage whose weights it begins with, and is measured against."""
    epochs: Annotated[int, Ge(1)] = 1
    """Times each annotation is learnt from; 1-3."""
    batch: Annotated[int, Ge(1)] = 32
    """Annotations per optimiser step; 32-512."""
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
    rates: Rates = field(default_factory=lambda: Rates(learning_rate=1e-4))
    adapter: Adapter | None = None
    """Train a LoRA adapter (or DoRA, or a learnt prefix) instead of all weights; the reference is then the model without it."""
    machine: Machine = field(default_factory=Machine)

    def parents(self) -> dict[str, str]:
        return {"init": self.init, "preferences": filter_of(self.preferences).from_}

    def check(self, context: Context) -> None:
        measured_apart(self.split, context)
        others = {need.partition("@")[2] for need in context.objective.needs} - {"", "reference"}
        if others:
            raise context.fault("method", f"it reads a role {sorted(others)[0]!r}, but this stage has only the policy and its reference")

    def expected_tokens(self, context: Context) -> int | None:
        return expected_tokens(context, self.preferences, self._amount, self.split)

    @property
    def _amount(self) -> Amount:
        return Amount(self.batch, self.epochs, self.steps, self.whole_epochs, self.order)

    def run(self, work: Work) -> dict[str, Any]:
        annotations, told = consumed(work, self.preferences, self.split)
        model, words = begin(work, self.adapter)
        render, objective = renderer(model, words, self.adapter, self.max_length), work.objective
        annotations = fitting(work, annotations, lambda a: a.prompt, render, self.too_long)
        trees = preference_trees(annotations, render, work.name)
        needs = (*objective.needs, *objective.prepare_needs)
        scalar = any(need.partition("@")[0] in SCALARS for need in needs)
        role = learner(model, self.adapter, work.seed, new_head(model, work.seed) if scalar else None)
        policy = policy_of(work, self.machine, {"policy": role, **beginning(role, objective, self.adapter)}, words, self.adapter)
        engine = Engine(policy, objective, {"policy": self.rates}, self.machine.micro_tokens, ranks())
        every, shown = self.machine.checkpoint_every, (*objective.terms, "agree")
        steps = learn(work, engine, trees, self._amount, every, shown)
        left = leave(work, policy, role, role.head)
        return {**left, **told, "annotations": len(annotations), "tied": len(annotations) - len(trees), "steps": steps}
