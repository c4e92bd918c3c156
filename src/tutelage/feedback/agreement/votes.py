"""Votes: what annotators said, one number each, so that every statistic is a few lines over arrays.

Whatever orders responses (ranking, pair, best_worst, an outsider's preferences) is taken apart into pairs: the item is a prompt with
two response ids in sorted order, the label says which of the two is better, "first", "second" or "tie". So a ranking of four is six
votes, and votes of a pair and of a ranking on the same two responses meet. Whatever values single responses (likert, binary, score)
votes on (prompt, response) with its value. An item's first part is its prompt: votes on one prompt depend on each other, so every
interval is clustered by it (at K = 9 an interval that isn't has 0.72 times its true width).

A pair inside a tier of a ranking, "tie" and "both bad" all say that neither is better: a tie. What an annotator was never asked
(the middle ones of best_worst) is no vote. Who was asked the same twice has the first answer counted; the rest is for
`consistency`. Two responses with the same text can't be told apart and are no item.

N votes, I items, W annotators, L labels.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import log
from typing import NamedTuple, TypeVar

import numpy as np

from tutelage.core.errors import UserError
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.signals import Label, Preference, Signal

Item = tuple[str, ...]
"""A prompt's id, then those of the responses judged, and what was judged of them unless it is "overall"."""
Value = str | float
Kind = tuple[str, str]
"""("order" or a task that values responses, what was judged): ("order", "overall"), ("likert", "truthful"), ..."""
FIRST, SECOND, TIE = ORDER = ("first", "second", "tie")
UNTOLD = ("ranking", "pair")
"""Tasks that ask about every pair, so that a pair without a preference is a tie."""
T = TypeVar("T", bound=Hashable)


class Vote(NamedTuple):
    """One judgement, and what may have swayed it."""

    worker: str
    item: Item
    label: Value
    weight: float = 1.0
    earlier: int = 0
    """1 where the first response of a pair stood before the second on the screen, -1 where after it; 0: no pair."""
    longer: float = 0.0
    """Log of the first response's characters over the second's; 0: no pair."""
    seconds: float = 0.0
    """How long the annotation took; 0: not known."""


@dataclass(frozen=True)
class Votes:
    """Votes as arrays of places: vote n is by workers[worker_N[n]] on items[item_N[n]] and says labels[label_N[n]]."""

    worker_N: np.ndarray
    item_N: np.ndarray
    label_N: np.ndarray
    workers: tuple[str, ...]
    items: tuple[Item, ...]
    labels: tuple[Value, ...]
    weights: np.ndarray | None = None
    """How much each vote counts where votes are added up; none: 1 each."""

    def __len__(self) -> int:
        return len(self.worker_N)

    @property
    def weight_N(self) -> np.ndarray:
        return np.ones(len(self)) if self.weights is None else self.weights

    @cached_property
    def group_I(self) -> np.ndarray:
        """The cluster of each item: its prompt, by number from 0."""
        return numbered([item[0] for item in self.items])[0]

    @property
    def group_N(self) -> np.ndarray:
        return self.group_I[self.item_N]

    @property
    def groups(self) -> int:
        return int(self.group_I.max()) + 1 if len(self.items) else 0

    @property
    def values_L(self) -> np.ndarray:
        """The labels as numbers; words as their places 0, 1, ..."""
        numeric = all(isinstance(label, int | float) for label in self.labels)
        return np.array(self.labels if numeric else range(len(self.labels)), float)

    @cached_property
    def count_I(self) -> np.ndarray:
        """How many votes each item has."""
        return np.bincount(self.item_N, minlength=len(self.items))

    @property
    def share_IL(self) -> np.ndarray:
        """The share that each label has of the (weighted) votes on each item; an item without votes has equal shares."""
        size = len(self.labels)
        sums = np.bincount(self.item_N * size + self.label_N, weights=self.weight_N, minlength=len(self.items) * size)
        table_IL = sums.reshape(-1, size)
        table_IL[table_IL.sum(1) == 0] = 1.0
        return table_IL / table_IL.sum(1, keepdims=True)

    def where(self, mask_N: np.ndarray) -> "Votes":
        """The votes of a mask; workers, items and labels keep their places."""
        weights = None if self.weights is None else self.weights[mask_N]
        return Votes(self.worker_N[mask_N], self.item_N[mask_N], self.label_N[mask_N], self.workers, self.items, self.labels, weights)

    def preferring(self) -> "Votes":
        """Votes that name a winner: all but the ties. Votes of other kinds are all kept."""
        return self.where(np.array([label != TIE for label in self.labels], bool)[self.label_N])


def votes_of(annotations: Iterable[Annotation]) -> Votes:
    """The votes of annotations of one kind (`by_kind` parts them). UserError where preferences and values are mixed."""
    return collected(spoken(annotations))


def by_kind(annotations: Iterable[Annotation]) -> dict[Kind, list[Annotation]]:
    """Annotations that can be compared with each other. Those that say neither an order nor a value (demonstrations, edits, prompts)
    are left out."""
    found: dict[Kind, list[Annotation]] = {}
    for annotation in annotations:
        kind = kind_of(annotation)
        if kind:
            found.setdefault((kind, annotation.aspect), []).append(annotation)
    return found


def kind_of(annotation: Annotation) -> str:
    """ "order", the task's name where it values responses, or nothing where it does neither."""
    gives = tasks.load(annotation.task).gives
    return "order" if gives == "preferences" else annotation.task if gives == "labels" else ""


def spoken(annotations: Iterable[Annotation]) -> list[Vote]:
    """Every vote, first said first; an annotator asked the same thing twice has two."""
    return [vote for annotation in sorted(annotations, key=lambda a: (a.at, a.id)) for vote in votes_in(annotation)]


def votes_in(annotation: Annotation) -> Iterator[Vote]:
    """The votes of one annotation. UserError where its answer has another form than its task's."""
    signals = tasks.signals_of(annotation)
    if kind_of(annotation) == "order":
        yield from _order(annotation, signals)
        return
    for signal in signals:
        if isinstance(signal, Label) and signal.span is None:
            item = (annotation.prompt.id, annotation.responses[signal.response].id, *_aspect(annotation))
            yield Vote(annotation.annotator, item, signal.value, annotation.weight, seconds=annotation.seconds)


def collected(votes: Sequence[Vote]) -> Votes:
    """Votes as arrays, the first of each annotator on each item. UserError where labels are of two kinds."""
    first: dict[tuple[str, Item], Vote] = {}
    for vote in votes:
        first.setdefault((vote.worker, vote.item), vote)
    kept = list(first.values())
    return tabulate([v.worker for v in kept], [v.item for v in kept], [v.label for v in kept], [v.weight for v in kept] if kept else None)


def tabulate(workers: Sequence[str], items: Sequence[Item], labels: Sequence[Value], weights: Sequence[float] | None = None) -> Votes:
    """Votes from three lists of the same length: who, on what, said what. Labels are put in order: first, second, tie; numbers by size;
    words by the alphabet. UserError where words and numbers are mixed."""
    worker_N, names = numbered(workers)
    item_N, things = numbered(items)
    known = _in_order(set(labels))
    place = {label: n for n, label in enumerate(known)}
    label_N = np.array([place[label] for label in labels], int)
    return Votes(worker_N, item_N, label_N, names, things, known, None if weights is None else np.asarray(weights, float))


def numbered(names: Sequence[T]) -> tuple[np.ndarray, tuple[T, ...]]:
    """Names as numbers from 0 in the order of their first use, and the names by number."""
    number: dict[T, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], int), tuple(number)


def _order(annotation: Annotation, signals: Sequence[Signal]) -> Iterator[Vote]:
    ahead = {(s.winner, s.loser) for s in signals if isinstance(s, Preference)}
    responses, shown = annotation.responses, annotation.shown or range(len(annotation.responses))
    screen = {stored: place for place, stored in enumerate(shown)}
    for i, j in combinations(range(len(responses)), 2):
        a, b = (i, j) if responses[i].id <= responses[j].id else (j, i)
        label = FIRST if (a, b) in ahead else SECOND if (b, a) in ahead else TIE
        if responses[a].id == responses[b].id or (label == TIE and annotation.task not in UNTOLD):
            continue
        item = (annotation.prompt.id, responses[a].id, responses[b].id, *_aspect(annotation))
        longer = log((1 + len(responses[a].text)) / (1 + len(responses[b].text)))
        earlier = 0 if not annotation.shown else 1 if screen[a] < screen[b] else -1  # 0: what stood first isn't known
        yield Vote(annotation.annotator, item, label, annotation.weight, earlier, longer, annotation.seconds)


def _aspect(annotation: Annotation) -> tuple[str, ...]:
    return () if annotation.aspect == "overall" else (annotation.aspect,)


def _in_order(labels: set[Value]) -> tuple[Value, ...]:
    words = [label for label in labels if isinstance(label, str)]
    numbers = [label for label in labels if not isinstance(label, str)]
    if words and numbers:
        raise UserError(f"votes of two kinds: {words[0]!r} beside the number {numbers[0]}; compare annotations of one task at a time")
    if words and set(words) <= set(ORDER):
        return (FIRST, SECOND, TIE) if TIE in labels else (FIRST, SECOND)
    return tuple(sorted(words)) or tuple(sorted(numbers))
