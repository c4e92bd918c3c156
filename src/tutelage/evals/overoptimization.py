"""Did training on the reward model go past the point where it helps (Gao et al. 2022)?

Three figures. The gold lost since its peak in training: the peak is picked on one half of the prompts and the loss measured on the
other, both ways, because the highest of several noisy points looks higher than it is. The KL between the policy and where it began,
summed exactly over the vocabulary. And the baseline that needs no training: best of n answers of the parent by the same reward model,
a line to be beaten on `overall`; its KL is at most log n - (n - 1) / n nats (Stiennon et al. 2020).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.core.text import Response
from tutelage.evals.eval import Answer, Measure, Result, Sample, Subject, measured
from tutelage.evals.gold import graded
from tutelage.evals.overall import EVAL as OVERALL

LOST = Measure("overoptimization", "Gold lost since its peak", "gold, 0 is best", False)
KL = Measure("kl", "KL from the start", "nats per answer", False, main=False)


@dataclass(frozen=True)
class Overoptimization:
    best_of: int = 4
    """Answers per prompt that the baseline picks from."""
    kl_prompts: int = 128
    """Prompts on which the KL is measured."""
    cut: float = -1.0
    """The score of an answer that was cut, as in training; in scaled units."""

    def untestable(self, subject: Subject) -> str | None:
        if subject.kind != "policy" or (subject.judge is None and not subject.curve):
            return ""
        return None if subject.material.prompts else "Overoptimization: no prompts were given."

    def run(self, subject: Subject) -> tuple[Result, ...]:
        found = []
        rows = [row for row in subject.curve if "gold_by_prompt" in row]
        if len(rows) > 1:
            found.append(measured(LOST, subject.stage, lost(rows)))
        if subject.parent is not None:
            prompts = subject.material.prompts[: self.kl_prompts]
            samples = [Sample(p.id, "", kl, p.id) for p, kl in zip(prompts, subject.kl(prompts), strict=True)]
            found.append(measured(KL, subject.stage, samples))
            if subject.material.grade is not None and subject.judge is not None:
                found.append(self.baseline(subject, subject.parent))
        return tuple(found)

    def baseline(self, subject: Subject, parent: Subject) -> Result:
        """Gold of the parent's best answers of n, by the reward model that the subject was trained with."""
        judge = subject.judge
        assert judge is not None
        prompts = parent.material.prompts
        said = parent.answers(prompts, self.best_of)
        scores = judge.score([(prompt, tuple(map(response, group))) for prompt, group in zip(prompts, said, strict=True)])
        ended = [[s if a.finished else self.cut for a, s in zip(group, row, strict=True)] for group, row in zip(said, scores, strict=True)]
        best = [group[int(np.argmax(row))] for group, row in zip(said, ended, strict=True)]
        return measured(OVERALL.measure, f"{parent.stage} best of {self.best_of}", graded(parent, prompts, best, "overall"))


def response(answer: Answer) -> Response:
    """Scored as text: the reward model renders it with its own tokenizer."""
    return Response(answer.text, finished=answer.finished)


def lost(rows: Sequence[Mapping[str, object]]) -> list[Sample]:
    """Per prompt: gold at the peak that the other half of the prompts shows, minus gold at the end."""
    gold = np.asarray([row["gold_by_prompt"] for row in rows], dtype=float)
    half = np.arange(gold.shape[1]) % 2
    peak = [int(gold[:, half != side].mean(1).argmax()) if (half != side).any() else len(gold) - 1 for side in (0, 1)]
    return [Sample(f"probe {n}", "", float(gold[peak[half[n]], n] - gold[-1, n]), f"probe {n}") for n in range(gold.shape[1])]


EVAL = Overoptimization()
