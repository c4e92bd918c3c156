"""Answers to read, where nobody knows the truth about them; what can be counted is how many end by themselves."""

from dataclasses import dataclass

from tutelage.evals.diversity import spread
from tutelage.evals.eval import Measure, Result, Sample, Subject, family, measured

FINISHED = Measure("samples", "Answers that end by themselves", "share", limits=(0.0, 1.0))


@dataclass(frozen=True)
class Samples:
    prompts: int = 64
    """How many are answered; the report shows the first ten (see `examples.py`)."""

    def untestable(self, subject: Subject) -> str | None:
        if subject.kind != "policy":
            return ""
        return None if subject.material.prompts else "Samples: no prompts were given."

    def run(self, subject: Subject) -> tuple[Result, ...]:
        prompts = spread(subject.material.prompts, self.prompts)
        said = zip(prompts, subject.answers(prompts), strict=True)
        return (measured(FINISHED, subject.stage, [Sample(p.id, family(p), float(a.finished), p.id) for p, (a,) in said]),)


EVAL = Samples()
