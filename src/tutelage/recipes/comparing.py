"""What models said is compared, in the middle of a run, by people or by a judge by URL: what they are asked, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from tutelage.core.errors import UserError
from tutelage.core.settings import Plain
from tutelage.core.statistics import Estimate
from tutelage.core.text import Response
from tutelage.evals.eval import Subject
from tutelage.evals.findings import Source
from tutelage.evals.head_to_head import QUESTIONS, Asked, Found, alone, ask, found, longer_won
from tutelage.feedback.agreement.votes import Vote, spoken
from tutelage.feedback.judge import Judge
from tutelage.feedback.store import Store
from tutelage.recipes import asked, asking, people
from tutelage.recipes.stage import Context
from tutelage.recipes.work import Work

STORE = "annotations.sqlite"


@dataclass(frozen=True)
class Judged:
    """What people, or a judge, found."""

    found: Found = field(default_factory=Found)
    by: tuple[Source, ...] = ()
    """Who judged, and how much of it, for the report."""
    told: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For the manifest."""
    notes: tuple[str, ...] = ()
    """What the report's reader must know about it."""


class Compares(asking.Asks, asked.MayAskPeople, Protocol):
    """As much of an evaluation as is checked here."""

    @property
    def models(self) -> tuple[str, ...]: ...
    @property
    def prompts(self) -> str | None: ...


def check(stage: Compares, context: Context) -> None:
    """A fault in what is said of people or of a judge is the context's."""
    asked.check(stage, context)
    if not asking.check(stage, "pair", context) and stage.by != "people":
        return
    who, s = ("a judge", "s") if stage.by == "judge" else ("people", "")
    if len(answering(stage.models, context)) < 2:
        raise context.fault("models", f"{who} compare{s} models with the first one; name two or more that answer")
    if stage.prompts is None:
        raise context.fault("prompts", f"{who} compare{s} answers to prompts; name an input of prompts")
    if stage.study is not None:
        _check_page(stage.study, stage.overlap, context)


def _check_page(study: str, overlap: int, context: Context) -> None:
    try:
        own = people.tasks_of(Path(study))
        people.read_page(Path(study), page_for(overlap, 0))
    except UserError as error:
        raise context.fault("study", str(error)) from None
    if own:
        raise context.fault("study", f"{study} asks questions of its own; here the questions are the stage's, take them out")


def answering(models: Sequence[str], context: Context) -> list[str]:
    """Those that answer: no reward models."""
    return [name for name in models if name == "model" or context.stages[name].produces == "model"]


def bill(judge: Judge, models: Sequence[str], pairs: int, prompt: float, longest: int, context: Context) -> str:
    """What asking about so many pairs may cost, by the lengths of a prompt and of the models' answers; empty where there is none."""
    first, *others = [context.answer(name, longest) for name in answering(models, context)]
    said = first + sum(others) / max(len(others), 1)
    return asking.bill(context.name, judge, pairs, round(prompt + said)) if pairs else ""


def judged_by_people(work: Work, subjects: Sequence[Subject], prompts: int, overlap: int, page: Path | None, enough: float) -> Judged:
    """Each subject's answers against the first one's, to the first `prompts` prompts, before people; waits for them."""
    between, ties = _between(work, subjects, prompts)
    people.write_items(work.dir, between.pairs)
    own = page_for(overlap, work.seed)
    study = people.study_of(work.dir, page, own)
    annotations = people.judged(work, study, enough)
    told = people.told(annotations)
    work.journal(told)
    who = ("one person judged: the intervals know nothing of how people differ",) if alone(annotations) else ()
    noted = {"study": Store(study.store).id, **({"page": asked.said_by(study)} if page else {})}
    by = tuple(Source(name, work.name, n, "judgements") for name, n in told["people"].items())
    return Judged(found(annotations, between), by, {"annotators": told["people"], "store": told["store"], **noted}, (*ties, *who))


def judged_by_model(work: Work, subjects: Sequence[Subject], prompts: int, judge: Judge) -> Judged:
    """The same by a judge by URL, which sees each pair in both orders; what it said before is not asked again."""
    between, ties = _between(work, subjects, prompts)
    before = asking.begun(work, judge, f"{len(between.pairs):,} pairs of answers with their prompts")
    work.progress.stage(f"{work.name}: judge", 2 * len(between.pairs))
    done = count(1)
    annotations, counts = asking.judged(work, judge, "pair", between.pairs, before, lambda: work.progress.tick(next(done), 0))
    store = Store(work.dir / STORE)
    store.append(annotations)
    store.adopt("judge")
    told = asking.told(work, judge, store, [counts])
    shown, votes = found(annotations, between, judge.name), spoken(annotations)
    results = (*shown.results, *longer_won(annotations, between, judge.name))
    left_out = len(between.pairs) - len(annotations) // 2
    unread = (f"{left_out} of {len(between.pairs)} pairs on which {judge.name} gave no verdict that can be read",) if left_out else ()
    by = tuple(Source(name, work.name, n, "verdicts of a model") for name, n in store.annotators().items())
    told = {"annotators": store.annotators(), "store": store.hash, "study": "judge", **told}
    return Judged(Found(results, shown.comparisons), by, told, (*ties, *unread, *_warned(judge, votes)))


def _warned(judge: Judge, votes: Sequence[Vote]) -> tuple[str, ...]:
    """What is known of such judges, and of this one."""
    longer = asking.longer(votes)
    return (
        f"whether people would say so: {judge.name} is one model, and the intervals know nothing of how judges differ",
        "such judges lean to long answers, and may lean to answers like their own (Zheng et al. 2023, arXiv 2306.05685, section 3.3); "
        + (f"here the longer one won in {_percent(longer)} of the verdicts that preferred one" if longer else "here none was preferred"),
        asking.swayed(judge, votes),
    )


def _percent(x: Estimate) -> str:
    return f"{x.mean:.0%} (95 % interval {x.low:.0%} to {x.high:.0%})"


def _between(work: Work, subjects: Sequence[Subject], prompts: int) -> tuple[Asked, tuple[str, ...]]:
    """What is asked about, and what of it are ties that nobody is asked about, in words."""
    if len(subjects) < 2:
        raise UserError(f"stage {work.name}: models are compared with the first one, and there is {len(subjects)} that answers")
    baseline, chosen = subjects[0].stage, subjects[0].material.prompts[:prompts]
    said = {s.stage: [Response(a.text, finished=a.finished, by=s.stage) for (a,) in s.answers(chosen)] for s in subjects}
    between = ask(chosen, said, baseline)
    if not between.pairs:
        raise UserError(f"stage {work.name}: all models say the same to all {len(chosen)} prompts, so there is nothing to compare")
    return between, tuple(
        f"{stage} and {baseline} gave {len(n)} of {len(chosen)} answers alike: ties" for stage, n in between.same.items() if n
    )


def page_for(overlap: int, seed: int) -> dict[str, Plain]:
    """What the stage itself says of its study."""
    questions: list[Plain] = [dict(question) for question in QUESTIONS]
    title = "Which answer is better?"
    return {"title": title, "questions": questions, "overlap": overlap, "seed": seed, "people": people.enough_for(overlap)}
