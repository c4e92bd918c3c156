"""Evaluate: every eval on every stage, compared pair by pair, and one page that says it."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from annotated_types import Ge, Gt, Le, MinLen

from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.evals import examples, report, suite
from tutelage.evals.compare import claim as read_claim
from tutelage.evals.compare import compare_all
from tutelage.evals.findings import Cost, Findings, Source, StageNote, headline_stage, judged_claims
from tutelage.evals.probe import curves
from tutelage.evals.subject import Artifact as Subject
from tutelage.evals.suite import Measured
from tutelage.feedback.judge import Judge
from tutelage.models.sampling import Sampling
from tutelage.recipes import asked, comparing
from tutelage.recipes.budget import budget
from tutelage.recipes.comparing import Judged, judged_by_model, judged_by_people, page_for
from tutelage.recipes.lineage import of_study
from tutelage.recipes.material import HELD_OUT_DEMONSTRATIONS, HELD_OUT_DOCUMENTS, PROMPTS
from tutelage.recipes.sources import Input, Model
from tutelage.recipes.stage import Context
from tutelage.recipes.subjects import Subjects, measured_on
from tutelage.recipes.work import Work

GIVEN = ("prompts", "text", "demonstrations", "preferences")


@dataclass(frozen=True)
class Evaluate:
    """Measure stages, compare them, write report.html and report.json."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Literal["report"]] = "report"
    takes: ClassVar = {"models": ("model", "reward"), **dict.fromkeys(GIVEN, ("input", "nothing"))}

    models: Annotated[tuple[str, ...], MinLen(1)]
    """Stages to measure, in the order of the report; `model` is the recipe's own. Reward models too."""
    evals: tuple[str, ...] = ()
    """Files in `evals/` by name, or yours by import path; the first is what the report begins with. May be empty where people or a judge
    compare."""
    by: Literal["evals", "people", "judge"] = "evals"
    """people: beside the evals, a site opens where people compare each model with the first one, blind, and the run waits for them.
    judge: a model by URL compares them, each pair in both orders."""
    judge: Judge | None = None
    """For a judge: its address, its model's name, and the name of the environment variable that holds its key."""
    ask: Annotated[int, Ge(1)] = 100
    """For people and judges: prompts to ask about."""
    overlap: Annotated[int, Ge(1)] = 1
    """For people: how many judge each pair."""
    study: str | None = None
    """For people: a study's page with guidelines, people, practice, ...; its questions and items are the stage's."""
    enough: Annotated[float, Gt(0.0), Le(1.0)] = 1.0
    """For people: the share of answers at which the run goes on."""
    prompts: str | None = "prompts"
    """The input whose eval split is answered."""
    text: str | None = "text"
    """The input whose held-out documents perplexity is measured on."""
    demonstrations: str | None = "demonstrations"
    """The input whose held-out rows perplexity is measured on."""
    preferences: str | None = None
    """The input whose held-out pairs reward models are tested on; the built-in world makes pairs of its own."""
    count: Annotated[int, Ge(3)] | None = None
    """Prompts of the eval split to answer, at most; a third as many held-out recombinations. null: by the model's size (tiny 3000)."""
    pair_prompts: Annotated[int, Ge(1)] | None = None
    """Prompts whose answers, four each, make the pairs that reward models are tested on; null: by the model's size (tiny 300)."""
    sampling: Sampling = field(default_factory=Sampling)
    claims: tuple[str, ...] = ()
    """Effects that are expected: `ppo > sft on overall by 0.06`. Those that fail are printed as failed."""
    notes: tuple[str, ...] = ()
    """Sentences for the report's reader."""

    def parents(self) -> dict[str, str]:
        given = {name: getattr(self, name) for name in GIVEN}
        return {f"models.{n}": name for n, name in enumerate(self.models)} | {k: v for k, v in given.items() if v}

    def check(self, context: Context) -> None:
        comparing.check(self, context)
        if self.by == "evals" and not self.evals:
            raise context.fault("evals", "names no eval; name one, or set by: people or by: judge")
        for n, name in enumerate(self.evals):
            suite.load(name, context.place(f"evals.{n}"))
        for n, text in enumerate(self.claims):
            try:
                read_claim(text)
            except UserError as error:
                raise context.fault(f"claims.{n}", str(error)) from None

    def expected_tokens(self, context: Context) -> int:
        """Answers, a third as many to recombinations, and what perplexity is measured on; other evals' answers are fewer."""
        policies = comparing.answering(self.models, context)
        shown = (("text", self.text, "documents"), ("demonstrations", self.demonstrations, "demonstrations"))
        most = {"text": HELD_OUT_DOCUMENTS, "demonstrations": HELD_OUT_DEMONSTRATIONS}
        read = 0.0
        for kind, name, rows in shown:
            if name is not None and name in context.inputs:
                size = context.size(name, rows)
                held = most[kind] if context.inputs[name].synthetic is not None else min(most[kind], 0.05 * size.rows)
                read += held * (size.prompt + size.response)
        count = self.expected_prompts(context) * (4 / 3 if self.in_village(context) else 1)
        return round(sum(count * context.answer(name, self.sampling.max_tokens) + read for name in policies))

    def expected_prompts(self, context: Context) -> int:
        """Answered by each policy."""
        if self.prompts is None or self.prompts not in context.inputs:
            return 0
        there = round(context.size(self.prompts, "prompts").rows * PROMPTS["eval"])
        return min(self.count or budget(context.model).answered_prompts, there)

    def expected_pairs(self, context: Context) -> int:
        """Compared by people or a judge."""
        return min(self.ask, self.expected_prompts(context)) * (len(comparing.answering(self.models, context)) - 1)

    def bill(self, context: Context) -> str:
        """What asking a judge may cost, for people; empty where nobody is asked by URL."""
        if not self.judge or self.prompts is None or self.prompts not in context.inputs:
            return ""
        prompt = context.size(self.prompts, "prompts").prompt
        return comparing.bill(self.judge, self.models, self.expected_pairs(context), prompt, self.sampling.max_tokens, context)

    def in_village(self, context: Context) -> bool:
        """Are the prompts those of the built-in world, whose truth is known?"""
        given = context.inputs.get(self.prompts or "")
        return given is not None and given.synthetic is not None

    def page_says(self) -> dict[str, Any] | None:
        return asked.said_now(self.study, page_for(self.overlap, 0)) if self.by == "people" else None

    def run(self, work: Work) -> dict[str, Any]:
        given = {name: source for name in GIVEN if isinstance(source := work.sources.get(name), Input)}
        meter, sized = suite.Meter(work.progress), budget(work.model)
        subjects = Subjects(work, measured_on(given, work.seed, self.count or sized.answered_prompts), self.sampling, meter.heard)
        subjects.leave_out_too_long(self._subject(work, subjects, 0))
        chosen = [self._subject(work, subjects, n) for n in range(len(self.models))]
        judged = next((s for s in chosen if s.kind == "reward" and s.parent is not None), None)
        if judged is not None and judged.parent is not None and "reward_accuracy" in self.evals:
            work.progress.stage(f"{work.name}: pairs", 0)
            subjects.with_pairs(judged.parent, self.pair_prompts or sized.pair_prompts, 4)
            chosen = [self._subject(work, subjects, n) for n in range(len(self.models))]
        evals = [suite.load(name) for name in self.evals]
        judged = self._judged(work, [s for s in chosen if s.kind == "policy"])
        measured = suite.measure(chosen, evals, meter, work.name)
        found = self._findings(work, chosen, measured, given, judged)
        report.write(found, work.dir)
        return {"sentence": report.as_json(found)["sentence"], "answers": len(subjects.on.prompts), **judged.told}

    def _judged(self, work: Work, policies: Sequence[Subject]) -> Judged:
        if self.judge:
            return judged_by_model(work, policies, self.ask, self.judge)
        page = Path(self.study) if self.study else None
        return judged_by_people(work, policies, self.ask, self.overlap, page, self.enough) if self.by == "people" else Judged()

    def _subject(self, work: Work, subjects: Subjects, n: int) -> Subject:
        source = work.sources[f"models.{n}"]
        if isinstance(source, Artifact):
            return subjects.of(source)
        if isinstance(source, Model) and source.path is not None:
            return subjects.folder("model", source.path)
        raise UserError(f"stage {work.name}: {self.models[n]} can't be measured: it is a model that is yet to be made")

    def _findings(self, work: Work, chosen: list[Subject], measured: Measured, given: dict[str, Input], judged: Judged) -> Findings:
        results = (*judged.found.results, *measured.results)
        comparisons = (*judged.found.comparisons, *compare_all(measured.results))
        stages = self._stages(work)
        plain = Findings(work.recipe, stages, results, comparisons)
        policies = [s for s in chosen if s.kind == "policy"]
        shown, picked = self._examples(policies, plain) if policies and policies[0].material.prompts else ((), "")
        return Findings(
            recipe=work.recipe,
            stages=stages,
            results=results,
            comparisons=comparisons,
            evaluation=StageNote(work.name, "evaluate", cost=_cost(work.spent())),
            curves=curves({s.stage: s.curve for s in chosen if s.curve}),
            examples=shown,
            picked=picked,
            data=tuple(Source(name, source.given, 0, hash=source.hash[:12]) for name, source in given.items()),
            people=(*self._people(work), *judged.by),
            untested=(*judged.notes, *measured.untested),
            judgements=judged_claims(plain, [read_claim(text) for text in self.claims]),
            settings=yaml.safe_dump({s.name: dict(s.settings) for s in stages}, sort_keys=False, allow_unicode=True),
            notes=self.notes,
            versions={"tutelage": version("tutelage"), "torch": version("torch"), "python": platform.python_version()},
        )

    def _examples(self, policies: list[Subject], plain: Findings) -> tuple[Any, str]:
        """Picked by rule: what the headline stage gained and lost; without a truth the first prompts."""
        main = next((s for s in policies if s.stage == headline_stage(plain)), policies[-1])
        own = plain.result(self.evals[0], main.stage) if self.evals else None
        before = next((s for s in policies if s.stage == plain.parent(main.stage)), None)
        if own is None or main.material.grade is None:
            return examples.first(policies)
        return examples.best_median_worst(main, before, own, plain.result(self.evals[0], before.stage) if before else None)

    def _stages(self, work: Work) -> tuple[StageNote, ...]:
        """Everything that the measured stages were made from, in the order it was made."""
        named = [source for n in range(len(self.models)) if isinstance(source := work.sources[f"models.{n}"], Artifact)]
        all_of_them = {a.stage: a for source in named for a in [*work.above(source).values(), source]}
        notes = [
            StageNote(a.stage, a.method, str(a.settings.get("init", "")), a.hash, a.settings, _cost(a.cost)) for a in all_of_them.values()
        ]
        own = "model" in self.models
        return tuple([StageNote("model", "given"), *notes] if own else notes)

    def _people(self, work: Work) -> tuple[Source, ...]:
        named = [source for n in range(len(self.models)) if isinstance(source := work.sources[f"models.{n}"], Artifact)]
        made = {a.stage: a for source in named for a in work.above(source).values() if "annotators" in a.results}
        studies = {(name, str(a.results.get("study") or "")) for a in made.values() for name in a.results["annotators"]}
        twice = {name for name, n in Counter(name for name, _ in studies).items() if n > 1}  # one pseudonym of two people
        return tuple(
            Source(name, f"{a.stage}{_whose(name in twice, a)}", count, "annotations", str(a.results["store"])[:12])
            for a in made.values()
            for name, count in sorted(a.results["annotators"].items())
        )


def _whose(told: bool, made: Artifact) -> str:
    return f", {of_study(str(made.results.get('study') or ''))}" if told else ""


def _cost(spent: Mapping[str, float]) -> Cost:
    names = {"tokens": int, "seconds": float, "tokens_per_s": float, "peak_rss": int}
    return Cost(**{name: kind(spent.get(name, 0)) for name, kind in names.items()})
