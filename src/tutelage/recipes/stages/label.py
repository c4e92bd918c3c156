"""Labelling: responses are sampled from a policy and judged; annotations go into a store, raw, by annotator.

    preferences: {method: label, policy: sft, prompts: prompts, task: ranking, by: people, study: study.yaml}

Prompts are worked through in chunks. A chunk's responses, and what simulated annotators say of them, depend on (weights, seed, prompt)
alone, and the store takes an annotation once, so a run killed in the middle of a chunk does that chunk again and ends with the same
store. People are asked when all responses are there; the run waits for them (recipes/people.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval, Le

from tutelage.core.errors import UserError
from tutelage.core.files import JsonLines
from tutelage.core.randomness import permutation
from tutelage.core.settings import Plain
from tutelage.core.text import Prompt, Response
from tutelage.data.render import Renderer
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation, from_plain, to_plain
from tutelage.feedback.judge import Judge
from tutelage.feedback.store import Store
from tutelage.models.sampler import Sampler
from tutelage.models.sampling import Sampling
from tutelage.recipes import asked, asking, material, people
from tutelage.recipes.budget import budget
from tutelage.recipes.sources import Model
from tutelage.recipes.stage import Context
from tutelage.recipes.training import TooLong, fitting, speaker
from tutelage.recipes.work import Work
from tutelage.synthetic import annotators
from tutelage.synthetic.annotators import Crowd

STORE = "annotations.sqlite"


def unjudged(prompt: Prompt, responses: tuple[Response, ...]) -> Annotation:
    """What was said, before anybody judged it."""
    return Annotation(prompt, responses, task="", answer={}, annotator="")


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
    by: Literal["synthetic:annotators", "people", "judge"] = "synthetic:annotators"
    """Who judges: the simulated annotators of the built-in world; people, for whom the run opens a site and waits; or a model by URL."""
    judge: Judge | None = None
    """For a judge: its address, its model's name, and the name of the environment variable that holds its key."""
    crowd: Crowd = field(default_factory=Crowd)
    """For simulated annotators: how many there are, and how many of them say the opposite of what they think."""
    study: str | None = None
    """For people: a study's page with guidelines, questions, people, gold, ...; its items are the stage's. null: one question, `task`."""
    enough: Annotated[float, Gt(0.0), Le(1.0)] = 1.0
    """For people: the share of answers at which the run goes on."""
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
        asked.check(self, context)
        if asking.check(self, self.task, context):
            return
        if self.by == "people":
            self._check_study(context)
            return
        if context.inputs[self.prompts].synthetic is None:
            raise context.fault("by", "synthetic:annotators judge only synthetic:prompts, whose truth they know")
        if self.overlap > self.crowd.people:
            raise context.fault("overlap", f"there are {self.crowd.people} annotators, not {self.overlap}")

    def expected_tokens(self, context: Context) -> int:
        return round(self.expected_prompts(context) * self.responses * context.answer(self.policy, self.sampling.max_tokens))

    def bill(self, context: Context) -> str:
        """What asking a judge may cost, for people; empty where nobody is asked by URL."""
        if not self.judge:
            return ""
        prompts = self.expected_prompts(context)
        read = context.size(self.prompts, "prompts").prompt + self.expected_tokens(context) / prompts
        return asking.bill(context.name, self.judge, prompts, round(read))

    def judged_tokens(self, context: Context) -> int:
        asked = self.expected_prompts(context) * context.size(self.prompts, "prompts").prompt
        return round(self._each * (asked + self.expected_tokens(context)))

    def judged_rows(self, context: Context) -> int:
        return self._each * self.expected_prompts(context)

    @property
    def _each(self) -> int:
        """Annotations of a prompt: a judge by URL is asked in both orders."""
        return 2 if self.judge else self.overlap

    def expected_prompts(self, context: Context) -> int:
        """As many as are wanted, or as fall into the split."""
        there = round(context.size(self.prompts, "prompts").rows * material.PROMPTS[self.split])
        return max(1, min(self._prompts(context.model), there))

    def _prompts(self, model: Model) -> int:
        return self.count or budget(model).judged_prompts

    def _check_study(self, context: Context) -> None:
        if self.study is None:
            return
        try:
            asked = people.tasks_of(Path(self.study))
            people.read_page(Path(self.study), self._page(context.name, 0))
        except UserError as error:
            raise context.fault("study", str(error)) from None
        if asked and self.task not in asked:
            raise context.fault("study", f"{self.study} asks {', '.join(asked)}, not {self.task}; add a question, or set task: {asked[0]}")

    def page_says(self) -> dict[str, Any] | None:
        return asked.said_now(self.study, self._page("", 0)) if self.by == "people" else None

    def run(self, work: Work) -> dict[str, Any]:
        role, render = speaker(work, "policy")
        sampler = Sampler(role.network, render.end)
        given = material.prompts(work.input("prompts"), self.split, work.seed)[: self._prompts(work.model)]
        chosen = fitting(work, given, lambda p: p, render, self.too_long, self.sampling.max_tokens)
        before = asking.begun(work, self.judge, f"{len(chosen):,} prompts with their responses") if self.judge else None
        store, done, kept = Store(work.dir / STORE), JsonLines(work.dir / "chunks.jsonl"), JsonLines(work.dir / "said.jsonl")
        chunks = [chosen[start : start + self.chunk] for start in range(0, len(chosen), self.chunk)]
        work.progress.stage(work.name, len(chunks))
        for n in range(len(done.read()), len(chunks)):
            said, counts = self._sampled(chunks[n], sampler, render, work), {}
            if self.by == "people":
                kept.append(to_plain(unjudged(prompt, responses)) for prompt, responses in said)
            elif self.judge and before:
                found, counts = asking.judged(work, self.judge, self.task, said, before)
                store.append(found)
            else:
                store.append(self._judged(said, work.seed))
            done.append([{"chunk": n, **counts}])
            work.progress.tick(n + 1, sum(len(r.ids or ()) for _, responses in said for r in responses))
        told: dict[str, Any] = {"study": self.by}
        if self.by == "people":
            found, told = self._asked(work, [from_plain(row) for row in kept.read()])
            store.append(found)
        if self.judge:
            told |= asking.told(work, self.judge, store, done.read())
        store.adopt(told["study"])
        return {"annotations": store.count, "annotators": store.annotators(), "store": store.hash, "prompts": len(chosen), **told}

    def _sampled(
        self, prompts: Sequence[Prompt], sampler: Sampler, render: Renderer, work: Work
    ) -> list[tuple[Prompt, tuple[Response, ...]]]:
        k, seed = self.responses, work.seed
        ids = [render.prompt(prompt) for prompt in prompts for _ in range(k)]
        said = sampler.generate(ids, [("label", seed, prompt.id, n) for prompt in prompts for n in range(k)], self.sampling) if k else []
        by = work.hash_of("policy")
        made = [Response(render.decode(s.ids), s.ids, render.hash, s.finished, by) for s in said]
        return [(prompt, tuple(made[n * k : (n + 1) * k])) for n, prompt in enumerate(prompts)]

    def _judged(self, said: Sequence[tuple[Prompt, tuple[Response, ...]]], seed: int) -> list[Annotation]:
        return [
            annotators.annotate(prompt, responses, self.task, name, seed)
            for prompt, responses in said
            for name in self._assigned(prompt, seed)
        ]

    def _asked(self, work: Work, said: Sequence[Annotation]) -> tuple[list[Annotation], dict[str, Any]]:
        """What people answered to the stage's own task, and what to note of their study. It has the texts alone; the sampled ids are put
        back."""
        own = self._page(f"{work.recipe}: {work.name}" if work.recipe else work.name, work.seed)
        people.write_items(work.dir, {a.prompt.id: (a.prompt, a.responses) for a in said}.values())
        study = people.study_of(work.dir, Path(self.study) if self.study else None, own)
        answered = people.judged(work, study, self.enough)
        whole = {(a.prompt.id, tuple(r.id for r in a.responses)): a for a in said}
        found: list[Annotation] = []
        aspect = next(question.aspect for question in study.questions if question.task == self.task)
        for annotation in answered:
            if annotation.task != self.task or annotation.aspect != aspect:
                continue  # asked beside it: that stays in the study's own store
            sampled = whole[annotation.prompt.id, tuple(r.id for r in annotation.responses)]
            found.append(replace(annotation, prompt=sampled.prompt, responses=sampled.responses))
        work.journal(people.told(answered))
        return found, {"study": Store(study.store).id, **({"page": asked.said_by(study)} if self.study else {})}

    def _page(self, title: str, seed: int) -> dict[str, Plain]:
        """What the stage itself says of its study."""
        own: dict[str, Plain] = {"title": title, "questions": [{"task": self.task}], "overlap": self.overlap, "seed": seed}
        return {**own, "people": people.enough_for(self.overlap)}

    def _assigned(self, prompt: Prompt, seed: int) -> list[str]:
        everyone = self.crowd.names
        return [everyone[i] for i in permutation(len(everyone), "assigned", seed, prompt.id)[: self.overlap]]
