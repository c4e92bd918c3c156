"""How near a policy came to the exact optimum of what it was trained for, on the one prompt whose answers can be listed.

    J(pi) = E_pi[r] - beta KL(pi || parent)  <=  J* = beta log sum_y parent(y) exp(r(y) / beta)

The figure is J / J* from exact probabilities, so it has no sampling error and no interval. Everything that is not one of the listed
answers is one more outcome (see `synthetic/enumerable.py`).
"""

import math
from dataclasses import dataclass

import numpy as np

from tutelage.core.errors import UserError
from tutelage.core.text import Demonstration, Response
from tutelage.evals.eval import Enumerable, Measure, Result, Sample, Subject
from tutelage.synthetic.enumerable import objective, optimum, outcomes

SHARE = Measure("enumerable", "Share of the exact optimum", "objective value", limits=(0.0, 1.0), digits=3)


@dataclass(frozen=True)
class ExactOptimum:
    def untestable(self, subject: Subject) -> str | None:
        if subject.kind != "policy" or subject.parent is None or subject.judge is None:
            return ""
        return None if subject.material.enumerable else "Distance from the exact optimum: no prompt with listed answers was given."

    def run(self, subject: Subject) -> tuple[Result, ...]:
        task, parent = subject.material.enumerable, subject.parent
        assert task is not None and parent is not None
        reference, reward = probabilities(task, parent), np.asarray(task.rewards)
        best = optimum(reference, reward, task.beta).value
        if not best > 0:
            raise UserError(f"eval enumerable: the optimum's value is {best:.3g}; shift the rewards so that it is above 0")
        share = objective(probabilities(task, subject), reference, reward, task.beta) / best
        return (Result(SHARE, subject.stage, share, share, share, 1, samples=(Sample(task.prompt.id, "", share, task.prompt.id),)),)


def probabilities(task: Enumerable, subject: Subject) -> np.ndarray:
    """[A + 1] of each listed answer with its end, and of everything else."""
    read = subject.nll([Demonstration(task.prompt, Response(answer)) for answer in task.answers])
    return outcomes(np.asarray([math.exp(-nats) for nats, _ in read]))


EVAL = ExactOptimum()
