"""Annotations on their way into an objective: read from a stage's store or a user's file, filtered, turned into trees."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.data.pieces import Rows, batches
from tutelage.data.render import Renderer
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.train import Fixed, train
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.filters import Consumed, Filter
from tutelage.feedback.signals import Preference
from tutelage.feedback.store import Store
from tutelage.recipes import material
from tutelage.recipes.reference import read_once
from tutelage.recipes.sources import STORES, Input
from tutelage.recipes.stage import Context, Judging
from tutelage.recipes.work import Work

Preferences = str | Filter
"""In a recipe: a name, or {from: NAME, without: [ANNOTATOR, ...], aggregate: dawid_skene, ...}."""


def filter_of(preferences: Preferences) -> Filter:
    """What is read of what."""
    return preferences if isinstance(preferences, Filter) else Filter(preferences)


@dataclass(frozen=True)
class Amount:
    """How much is learnt from, and how much of it in one step."""

    batch: int
    epochs: int
    steps: int | None
    """Of optimization; None: what the epochs take."""
    whole_epochs: bool = False
    """No step holds annotations of two epochs."""
    order: int = 0
    """Of what is drawn from the run's seed, which one."""


def expected_tokens(context: Context, preferences: Preferences, amount: Amount, split: str) -> int | None:
    """About how many tokens are learnt from; None where a stage doesn't tell."""
    name = filter_of(preferences).from_
    if name in context.inputs:
        size = context.size(name, "preferences")
        rows, tokens = (round(n * (0.9 if split == "label" else 1.0)) for n in (size.rows, size.tokens))
    else:
        judge = context.stages.get(name)
        if not isinstance(judge, Judging):
            return None
        rows, tokens = judge.judged_rows(context), judge.judged_tokens(context)
    if amount.steps is None:
        return amount.epochs * tokens
    return round(amount.steps * min(amount.batch, rows) * tokens / max(rows, 1))


def consumed(work: Work, preferences: Preferences, side: str = "label") -> tuple[list[Annotation], dict[str, Any]]:
    """What is learnt from, in the order of ids, and what to note of it: the hash, how much of it is whose, and how it was joined. `side`
    of a file's rows: what is held out (`label`), or `all`."""
    source, filter_ = work.sources["preferences"], filter_of(preferences)
    if isinstance(source, Artifact):
        store = Store(source.path / "annotations.sqlite", create=False)
        filter_.check(store)
        taken = filter_.applied(store.read(filter_.without))
        found = list(taken.annotations)
        told: dict[str, Any] = {"consumed": dict(taken.people), "consumed_hash": filter_.hash(store), **study_of(source)}
        if not filter_.plain:
            told |= _joined(filter_, taken)
    else:
        found, told = _of_file(work, preferences, side)
    if not found:
        raise UserError(f"stage {work.name}: there are no annotations to learn from")
    return found, told


def study_of(source: Artifact | Input) -> dict[str, Any]:
    """To note beside the people of an artifact's or a store's annotations: the study that knows them by these names; nothing where it
    isn't known, as of a file's rows."""
    if isinstance(source, Artifact):
        return {"study": source.results["study"]} if "study" in source.results else {}
    return {"study": Store(source.path, create=False).id} if source.synthetic is None and source.path.suffix in STORES else {}


def _of_file(work: Work, preferences: Preferences, side: str) -> tuple[list[Annotation], dict[str, Any]]:
    """A file's annotations, filtered as those of a stage where its rows name people."""
    source, filter_ = work.input("preferences"), filter_of(preferences)
    given = sorted(material.preferences(source, side), key=lambda a: a.id)
    people = Counter(a.annotator for a in given)
    if filter_.plain and not filter_.without:
        return given, {"consumed": dict(sorted(people.items())), "consumed_hash": source.hash, **study_of(source)}
    if set(people) == {source.name}:
        settings = "preferences.without, aggregate, minimum_agreement and weights"
        raise UserError(f"stage {work.name}: {settings} are about annotators, but a file's rows name nobody")
    filter_.among(people)
    raw = [a for a in given if a.annotator not in filter_.without]
    taken = filter_.applied(raw)
    told: dict[str, Any] = {"consumed": dict(taken.people), "consumed_hash": filter_.hash_over(a.id for a in raw), **study_of(source)}
    return list(taken.annotations), told | ({} if filter_.plain else _joined(filter_, taken))


def _joined(filter_: Filter, taken: Consumed) -> dict[str, Any]:
    return {"aggregate": filter_.aggregate, "dropped_prompts": taken.dropped, "single_prompts": taken.single}


def preference_trees(annotations: Sequence[Annotation], render: Renderer, objective: str) -> list[Tree]:
    """One tree per annotation that orders any of its responses; columns "preferences" and "weight"."""
    trees = [tree for annotation in annotations if (tree := _tree(annotation, render, objective)) is not None]
    if not trees:
        raise UserError(f"{objective}: all responses of all {len(annotations)} annotations are tied, so there is nothing to learn")
    return trees


def _tree(annotation: Annotation, render: Renderer, objective: str) -> Tree | None:
    signals, gives = tasks.signals_of(annotation), tasks.load(annotation.task).gives
    pairs = [(s.winner, s.loser, s.weight, s.margin, s.probability) for s in signals if isinstance(s, Preference)]
    if gives != "preferences" or len(pairs) < len(signals):
        raise UserError(f"annotation {annotation.id}: {objective} learns from preferences; the task {annotation.task} gives {gives}")
    if not pairs:
        return None
    columns: Mapping[str, Any] = {"preferences": tuple(pairs), "weight": annotation.weight}
    return render.tree(annotation.prompt, annotation.responses, where=f"annotation {annotation.id}", **columns)


def learn(work: Work, engine: Engine, trees: Sequence[Tree], amount: Amount, every: int, shown: Sequence[str]) -> int:
    """Train on annotations, `batch` of them a step (all, where there are fewer); returns the number of steps."""
    batch, seed = min(amount.batch, len(trees)), work.seed + 1_000_003 * amount.order
    if amount.whole_epochs:
        rows = Rows(tuple((n,) for n in range(len(trees))), batch, seed)
        steps = [rows.at(step) for step in range(amount.steps or amount.epochs * rows.steps)]
    else:
        count = amount.steps or max(1, round(amount.epochs * len(trees) / batch))
        steps = [batches(range(len(trees)), batch, seed, step) for step in range(count)]
    known = read_once(work, engine, trees, steps)
    source = Fixed(lambda step: [known[place] for place in steps[step]])
    train(engine, source, len(steps), work.dir, work.progress, work.name, every, shown=shown)
    return len(steps)
