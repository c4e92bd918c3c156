"""Perplexity on held-out text and demonstrations of a user's own: see `forgetting.py`, of which this is the part without skills."""

from dataclasses import dataclass

from tutelage.evals.eval import Measure, Result, Subject
from tutelage.evals.forgetting import perplexity

DEMONSTRATIONS = Measure("perplexity", "Perplexity on held-out demonstrations", "per token", False, "log")
TEXT = Measure("perplexity_text", "Perplexity on held-out text", "per token", False, "log")


@dataclass(frozen=True)
class Perplexity:
    def untestable(self, subject: Subject) -> str | None:
        if subject.kind != "policy":
            return ""
        has = subject.material
        return None if has.documents or has.demonstrations else "Perplexity: no held-out text or demonstrations were given."

    def run(self, subject: Subject) -> tuple[Result, ...]:
        has = subject.material
        found = ((DEMONSTRATIONS, has.demonstrations), (TEXT, has.documents))
        return tuple(perplexity(measure, subject, texts) for measure, texts in found if texts)


EVAL = Perplexity()
