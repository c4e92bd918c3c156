"""What the gold evals share: an answer to each prompt, graded by rules; families weigh the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.core.text import Prompt
from tutelage.evals.eval import Answer, Measure, Result, Sample, Subject, family, measured

Aspect = Literal["overall", "helpful", "honest", "harmless"]


@dataclass(frozen=True)
class Graded:
    """One aspect of gold on one set of prompts."""

    measure: Measure
    aspect: Aspect
    heldout: bool = False

    def prompts(self, subject: Subject) -> tuple[Prompt, ...]:
        return subject.material.heldout if self.heldout else subject.material.prompts

    def untestable(self, subject: Subject) -> str | None:
        if subject.kind != "policy":
            return ""
        if subject.material.grade is None:
            return f"{self.measure.title}: nobody knows the truth about answers to these prompts."
        return None if self.prompts(subject) else f"{self.measure.title}: no prompts were given."

    def run(self, subject: Subject) -> tuple[Result, ...]:
        prompts = self.prompts(subject)
        answers = [said for (said,) in subject.answers(prompts)]
        samples = graded(subject, prompts, answers, self.aspect)
        return (measured(self.measure, subject.stage, samples),)


def graded(subject: Subject, prompts: Sequence[Prompt], answers: Sequence[Answer], aspect: Aspect) -> list[Sample]:
    """A sample per prompt to which the aspect applies."""
    grade = subject.material.grade
    assert grade is not None
    samples = []
    for prompt, answer in zip(prompts, answers, strict=True):
        value: float | None = getattr(grade(prompt, answer.text, answer.finished), aspect)
        if value is not None:
            samples.append(Sample(prompt.id, family(prompt), value, prompt.id))
    return samples


def gold_measure(name: str, title: str, unit: str = "gold, 0 to 1") -> Measure:
    """A gold score: 0 to 1, families weighing the same."""
    return Measure(name, title, unit, limits=(0.0, 1.0), balanced=True)
