"""What was lost on the way: perplexity on held-out text and demonstrations, and skills that were there before fine-tuning.

Perplexity is exp(nats / tokens) over all tokens; its interval is by document, as the ratio of two totals. Comparisons are paired by
document and said as a share: +0.05 is 5 % more perplexity. Skills are plain texts that break off, asked without chat marks and
answered with the likeliest words, so that what is measured is knowledge and not manners.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.core.text import Demonstration, Document
from tutelage.evals.eval import Cloze, Measure, Result, Sample, Subject, measured, ratio
from tutelage.evals.subject import text_id

TEXT = Measure("forgetting", "Perplexity on held-out text", "per token", False, "log")
DEMONSTRATIONS = Measure("forgetting_demonstrations", "Perplexity on demonstrations", "per token", False, "log", main=False)
SKILLS = Measure("forgetting_skills", "Skills of pre-training", "share right", limits=(0.0, 1.0))


@dataclass(frozen=True)
class Forgetting:
    """Perplexity on held-out text and demonstrations, and the skills of pre-training: those that there is material for."""

    words: int = 12
    """How many tokens a broken-off text is continued with: at least as many as the longest answer has."""

    def untestable(self, subject: Subject) -> str | None:
        if subject.kind != "policy":
            return ""
        has = subject.material
        return None if has.documents or has.demonstrations or has.cloze else "Forgetting: no held-out text was given."

    def run(self, subject: Subject) -> tuple[Result, ...]:
        has = subject.material
        texts = ((TEXT, has.documents), (DEMONSTRATIONS, has.demonstrations))
        found = [perplexity(measure, subject, given) for measure, given in texts if given]
        if has.cloze:
            found.append(measured(SKILLS, subject.stage, self.skills(subject, has.cloze)))
        return tuple(found)

    def skills(self, subject: Subject, cloze: Sequence[Cloze]) -> list[Sample]:
        said = subject.completions([c.text for c in cloze], self.words)
        return [Sample(c.text, c.family, float(begins(text, c.answers)), c.text) for c, text in zip(cloze, said, strict=True)]


def perplexity(measure: Measure, subject: Subject, texts: Sequence[Document | Demonstration]) -> Result:
    """Over all tokens of all texts, the interval clustered by text."""
    read = [(text, nats, count) for text, (nats, count) in zip(texts, subject.nll(texts), strict=True) if count]
    values = ratio([nats for _, nats, _ in read], [count for _, _, count in read])
    names = [text_id(text) for text, _, _ in read]
    return measured(measure, subject.stage, [Sample(name, "", value, name) for name, value in zip(names, values, strict=True)])


def begins(said: str, answers: Sequence[str]) -> bool:
    """Does the text go on with the words of one of them?"""
    words = said.split()
    return any(words[: len(answer.split())] == answer.split() for answer in answers)


EVAL = Forgetting()
