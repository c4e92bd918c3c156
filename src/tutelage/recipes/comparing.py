"""People compare what models said, in the middle of a run: the study that asks them, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.core.errors import UserError
from tutelage.core.settings import Plain
from tutelage.core.text import Response
from tutelage.evals.eval import Subject
from tutelage.evals.head_to_head import QUESTIONS, Found, alone, ask, found
from tutelage.feedback.store import Store
from tutelage.recipes import asked, people
from tutelage.recipes.work import Work


@dataclass(frozen=True)
class Judged:
    """What people found."""

    found: Found = field(default_factory=Found)
    people: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many judgements each gave."""
    store: str = ""
    """Hash of what they said."""
    study: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What to note of the study that asked them."""
    notes: tuple[str, ...] = ()
    """What the report's reader must know about it."""


def judged_by_people(work: Work, subjects: Sequence[Subject], prompts: int, overlap: int, page: Path | None, enough: float) -> Judged:
    """Each subject's answers against the first one's, to the first `prompts` prompts, before people; waits for them."""
    if len(subjects) < 2:
        raise UserError(f"stage {work.name}: people compare models with the first one, and there is {len(subjects)} that answers")
    baseline, chosen = subjects[0].stage, subjects[0].material.prompts[:prompts]
    said = {s.stage: [Response(a.text, finished=a.finished, by=s.stage) for (a,) in s.answers(chosen)] for s in subjects}
    between = ask(chosen, said, baseline)
    ties = tuple(f"{stage} and {baseline} gave {len(n)} of {len(chosen)} answers alike: ties" for stage, n in between.same.items() if n)
    if not between.pairs:
        raise UserError(f"stage {work.name}: all models say the same to all {len(chosen)} prompts, so there is nothing to compare")
    people.write_items(work.dir, between.pairs)
    own = page_for(overlap, work.seed)
    study = people.study_of(work.dir, page, own)
    annotations = people.judged(work, study, enough)
    told = people.told(annotations)
    work.journal(told)
    who = ("one person judged: the intervals know nothing of how people differ",) if alone(annotations) else ()
    noted = {"study": Store(study.store).id, **({"page": asked.said_by(study)} if page else {})}
    return Judged(found(annotations, between), told["people"], told["store"], noted, (*ties, *who))


def page_for(overlap: int, seed: int) -> dict[str, Plain]:
    """What the stage itself says of its study."""
    questions: list[Plain] = [dict(question) for question in QUESTIONS]
    title = "Which answer is better?"
    return {"title": title, "questions": questions, "overlap": overlap, "seed": seed, "people": people.enough_for(overlap)}
