"""Prompts to training steps: one phase of sampling, then some epochs of minibatches over what was sampled.

    step -> phase = step // (epochs * minibatches):   a phase's first step samples it;   each step takes a minibatch

Between phases nothing needs saving, because a phase is a function of its number and the weights; within a phase the state holds its
trees, because the weights that made them are gone. So a source restored at any step gives what an untouched one would have given.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tutelage.core.randomness import permutation
from tutelage.data.tree import Tree
from tutelage.rollouts.collect import Collector, Phase


class Rollouts:
    """The source of training steps. `beside(step)` gives further trees for each step (pre-training text, for PPO-ptx);
    `listen` is told each phase as it is sampled."""

    def __init__(
        self,
        collector: Collector,
        beside: Callable[[int], Sequence[Tree]] | None = None,
        listen: Callable[[Phase], None] | None = None,
    ) -> None:
        self.collector, self.beside, self.listen = collector, beside, listen
        self._number: int | None = None
        self._trees: tuple[Tree, ...] = ()
        self._figures: dict[str, float] = {}

    def trees(self, step: int) -> list[Tree]:
        """The examples of an optimiser step. Samples a new phase where `step` begins one."""
        plan = self.collector.phases
        number, within = divmod(step, plan.steps)
        if number != self._number:
            if within:
                raise ValueError(f"step {step} continues phase {number}, which was sampled before: restore its state first")
            self._begin(self.collector.collect(number))
        epoch, minibatch = divmod(within, plan.minibatches)
        order = permutation(len(self._trees), "minibatch", plan.seed, number, epoch)
        chosen = np.array_split(np.array(order), plan.minibatches)[minibatch]
        return [*(self._trees[n] for n in chosen), *(self.beside(step) if self.beside else ())]

    def figures(self, step: int) -> dict[str, float]:
        """What to tell beside the losses of `step`: a phase's figures at its first step, nothing at the others."""
        return dict(self._figures) if step % self.collector.phases.steps == 0 else {}

    def _begin(self, phase: Phase) -> None:
        self._number, self._trees, self._figures = phase.number, phase.trees, dict(phase.figures)
        if self.listen:
            self.listen(phase)

    def state(self, step: int) -> dict[str, Any]:
        """What `step`, the next one, needs from here, as plain JSON: nothing at the beginning of a phase, its trees within one."""
        if step % self.collector.phases.steps == 0:
            return {}
        return {"phase": self._number, "trees": [asdict(tree) for tree in self._trees]}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._number, self._figures = state.get("phase"), {}
        self._trees = tuple(_tree(plain) for plain in state.get("trees", ()))


def _tree(plain: Mapping[str, Any]) -> Tree:
    """A tree from its JSON, where every tuple has become a list."""
    return Tree(**{name: _frozen(value) for name, value in plain.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    return {name: _frozen(item) for name, item in value.items()} if isinstance(value, Mapping) else value
