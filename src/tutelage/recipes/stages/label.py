"""Labelling: responses are sampled from a policy and judged; annotations go into a store, raw, by annotator.

Prompts are worked through in chunks. A chunk's responses and judgements depend on (weights, seed, prompt) alone, and the store takes
an annotation once, so a run killed in the middle of a chunk does that chunk again and ends with the same store.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from tutelage.core.files import JsonLines
from tutelage.core.randomness import permutation
from tutelage.core.text import Prompt, Response
from tutelage.data.render import Renderer
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.models.sampler import Sampler
from tutelage.models.sampling import Sampling
from tutelage.recipes import material
from tutelage.recipes.budget import PROMPT, answer_tokens, budget
from tutelage.recipes.sources import Model
from tutelage.recipes.stage import Context
from tutelage.recipes.training import TooLong, fitting, speaker
from tutelage.recipes.work import Work
from tutelage.synthetic import annotators

STORE = "annotations.sqlite"


@dataclass(frozen=True)
class Label:
    """Sample responses and have them judged."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Literal["annotations"]] = "annotations"
    takes: ClassVar = {"policy": ("model",), "prompts": ("input",)}

    policy: str
    """The stage whose responses are judged."""
    prompts: str
    """Prompts: an input."""
    by: Literal["synthetic:annotators"] = "synthetic:annotators"
    """Who judges: the twelve simulated annotators of the built-in world."""
    task: Literal["ranking", "pair", "likert", "binary", "score", "best_worst", "demonstration", "edit"] = "ranking"
    """What is asked of an annotator. Reward models and preference objectives learn from ranking, pair and best_worst."""
    split: Literal["label", "rl", "eval"] = "label"
    """Which of the prompts."""
    responses: Annotated[int, Interval(ge=0, le=9)] = 4
    """Responses per prompt; 2-9, InstructGPT 4-9. A pair has 2, a demonstration none."""
    count: Annotated[int, Ge(1)] | None = None
    """Prompts to judge, at most; null: by the model's size (nano 64, tiny 6000)."""
    overlap: Annotated[int, Ge(1)] = 1
    """Annotators per prompt."""
    too_long: TooLong = "refuse"
    """What to do with a prompt that leaves no room for a response."""
    sampling: Sampling = field(default_factory=Sampling)
    chunk: Annotated[int, Ge(1)] = 128
    """Prompts between two saves: what a kill may cost."""

    def parents(self) -> dict[str, str]:
        return {"policy": self.policy, "prompts": self.prompts}

    def check(self, context: Context) -> None:
        takes = tasks.load(self.task).responses
        if self.responses not in takes:
            near = takes[0] if self.responses < takes[0] else takes[-1]
            raise context.fault("responses", f"the task {self.task} can't be asked about {self.responses} responses; set responses: {near}")
        if context.inputs[self.prompts].synthetic is None:
            raise context.fault("by", "synthetic:annotators judge only synthetic:prompts, whose truth they know")
        if self.overlap > len(annotators.annotators()):
            raise context.fault("overlap", f"there are {len(annotators.annotators())} annotators, not {self.overlap}")

    def expected_tokens(self, context: Context) -> int:
        return self._prompts(context.model) * self.responses * answer_tokens(self.sampling.max_tokens)

    def judged_tokens(self, context: Context) -> int:
        return self.overlap * (self._prompts(context.model) * PROMPT + self.expected_tokens(context))

    def _prompts(self, model: Model) -> int:
        return self.count or budget(model).judged_prompts

    def run(self, work: Work) -> dict[str, Any]:
        role, render = speaker(work, "policy")
        sampler = Sampler(role.network, render.end)
        given = material.prompts(work.input("prompts"), self.split, work.seed)[: self._prompts(work.model)]
        asked = fitting(work, given, lambda p: p, render, self.too_long, self.sampling.max_tokens)
        store, done = Store(work.dir / STORE), JsonLines(work.dir / "chunks.jsonl")
        chunks = [asked[start : start + self.chunk] for start in range(0, len(asked), self.chunk)]
        work.progress.stage(work.name, len(chunks))
        for n in range(len(done.read()), len(chunks)):
            judged = self._judged(chunks[n], sampler, render, work)
            store.append(judged)
            done.append([{"chunk": n, "annotations": len(judged)}])
            work.progress.tick(n + 1, sum(len(r.ids or ()) for a in judged[:: self.overlap] for r in a.responses))
        return {"annotations": store.count, "annotators": store.annotators(), "store": store.hash, "prompts": len(asked)}

    def _judged(self, prompts: Sequence[Prompt], sampler: Sampler, render: Renderer, work: Work) -> list[Annotation]:
        k, seed = self.responses, work.seed
        ids = [render.prompt(prompt) for prompt in prompts for _ in range(k)]
        said = sampler.generate(ids, [("label", seed, prompt.id, n) for prompt in prompts for n in range(k)], self.sampling) if k else []
        by = work.parent("policy").hash
        made = [Response(render.decode(s.ids), s.ids, render.hash, s.finished, by) for s in said]
        return [
            annotators.annotate(prompt, made[n * k : (n + 1) * k], self.task, name, seed)
            for n, prompt in enumerate(prompts)
            for name in self._assigned(prompt, seed)
        ]

    def _assigned(self, prompt: Prompt, seed: int) -> list[str]:
        people = annotators.annotators()
        return [people[i] for i in permutation(len(people), "assigned", seed, prompt.id)[: self.overlap]]
