"""A subject whose answers, texts and scores are given as tables: evals are held against numbers worked out by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tutelage.core.text import Demonstration, Document, Prompt, Response, ask
from tutelage.evals.eval import Answer, Material, Measure, Result, Sample, measured
from tutelage.evals.findings import StageNote
from tutelage.synthetic.scores import Scores

PLAIN = Measure("overall", "Overall gold", limits=(0.0, 1.0), balanced=True)


@dataclass
class Table:
    stage: str = "ppo"
    material: Material = field(default_factory=Material)
    kind: Literal["policy", "reward"] = "policy"
    parent: "Table | None" = None
    judge: "Table | None" = None
    curve: Sequence[Mapping[str, object]] = ()
    said: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    """By the prompt's text."""
    nats: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    """By the text of a document or response."""
    goes_on: Mapping[str, str] = field(default_factory=dict)
    far: float = 2.0
    released: int = 0

    def answers(self, prompts: Sequence[Prompt], samples: int = 1) -> list[tuple[Answer, ...]]:
        return [tuple(self.said[p.last][:samples]) for p in prompts]

    def completions(self, texts: Sequence[str], tokens: int) -> list[str]:
        return [self.goes_on[text] for text in texts]

    def nll(self, texts: Sequence[Document | Demonstration]) -> list[tuple[float, int]]:
        return [self.nats[t.text if isinstance(t, Document) else t.response.text] for t in texts]

    def score(self, items: Sequence[tuple[Prompt, tuple[Response, ...]]]) -> list[tuple[float, ...]]:
        """A reward model with a taste for the letter x."""
        return [tuple(float(r.text.count("x")) for r in responses) for _, responses in items]

    def kl(self, prompts: Sequence[Prompt]) -> list[float]:
        return [self.far + n % 2 for n, _ in enumerate(prompts)]

    def release(self) -> None:
        self.released += 1


def answer(text: str, finished: bool = True, nats: float = 1.0) -> Answer:
    return Answer(text, (), finished, nats)


def grade(prompt: Prompt, text: str, finished: bool) -> Scores:
    """Gold: the share of the letter g; honesty only where a fact is asked for."""
    value = min(1.0, text.count("g") / 4) if finished else 0.0
    return Scores(value, value, honest=value if prompt.tags.get("family") == "fact" else None)


def prompts(n: int = 12) -> tuple[Prompt, ...]:
    return tuple(ask(f"prompt {k}", family="fact" if k % 3 == 0 else "story") for k in range(n))


def result(stage: str, values: Sequence[float], measure: Measure = PLAIN, families: Sequence[str] = ()) -> Result:
    names = families or [""] * len(values)
    return measured(measure, stage, [Sample(f"p{n}", names[n], value, f"p{n}") for n, value in enumerate(values)])


NOTES = (
    StageNote("base", "pretrain", ""),
    StageNote("sft", "sft", "base"),
    StageNote("reward_model", "reward", "sft"),
    StageNote("ppo", "ppo", "sft"),
    StageNote("dpo", "dpo", "sft"),
)
