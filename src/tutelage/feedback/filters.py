"""What a consumer takes from a store: the filter stands at the consumer, so the annotations themselves are never touched.

    reward_model: {method: reward, init: sft, preferences: {from: preferences, without: [ann-07], aggregate: dawid_skene}}

In this order: annotators are left out, the others' annotations weighted, prompts on which people agree too little dropped, and what
is left aggregated. Whatever is changed here makes only this consumer (and what follows) stale: its input's hash is that of the raw
annotations it reads and of these settings.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from annotated_types import Gt, Interval

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.core.text import content_id
from tutelage.feedback.aggregate import How, aggregate, agreed, single
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store, hash_of


@dataclass(frozen=True)
class Consumed:
    """What a consumer learns from, and from whom."""

    annotations: tuple[Annotation, ...]
    """In the order of ids; aggregated where that was asked for."""
    people: Mapping[str, int]
    """How many raw annotations of each annotator are in it."""
    dropped: int
    """Prompts that were left out for too little agreement."""
    single: int
    """Prompts that one person alone judged; there was nothing to join."""


@dataclass(frozen=True)
class Filter:
    """In a recipe either a stage's name alone, or {from: NAME, without: [ANNOTATOR, ...], aggregate: dawid_skene, ...}."""

    from_: str
    """The stage or input whose annotations are consumed."""
    without: tuple[str, ...] = ()
    """Annotators left out."""
    aggregate: How = "none"
    """What several people said of one prompt: each for themselves (none), or joined by majority, dawid_skene or bradley_terry. What one
    person alone judged is as certain as that person is right elsewhere (dawid_skene), or certain (majority)."""
    minimum_agreement: Annotated[float, Interval(ge=0, le=1)] | None = None
    """Prompts on which pairs of votes agree less often than this are dropped; 0.5-0.8."""
    weights: Mapping[str, Annotated[float, Gt(0)]] = field(default_factory=dict[str, float], hash=False)
    """How much an annotator's annotations count, {ann-03: 0.5}; others 1."""

    @property
    def plain(self) -> bool:
        """Whether annotations are taken as they are, but for those of who is left out."""
        return self.aggregate == "none" and self.minimum_agreement is None and not self.weights

    def read(self, store: Store, task: str | None = None) -> Iterator[Annotation]:
        """What is consumed, in the order of ids. UserError for an unknown annotator."""
        self.check(store)
        if self.plain:
            return store.read(self.without, task=task)
        return iter(self.applied(store.read(self.without, task=task)).annotations)

    def applied(self, annotations: Iterable[Annotation]) -> Consumed:
        """Annotations, those of `without` already left out, weighted, dropped and aggregated. UserError where they order nothing and
        the settings need an order."""
        weighted = [self._weighted(annotation) for annotation in annotations]
        kept, dropped = agreed(weighted, self.minimum_agreement)
        made = sorted(kept, key=lambda a: a.id) if self.aggregate == "none" else aggregate(kept, self.aggregate)
        return Consumed(tuple(made), dict(sorted(Counter(a.annotator for a in kept).items())), dropped, single(kept))

    def hash(self, store: Store) -> str:
        """Hash of what is consumed: the store's own where nothing is left out and nothing set."""
        self.check(store)
        return self.hash_over(store.ids(self.without))

    def hash_over(self, ids: Iterable[str]) -> str:
        """Hash of these raw annotations under these settings."""
        raw = hash_of(ids)
        if self.plain:
            return raw
        return content_id("consumed", raw, self.aggregate, self.minimum_agreement, {name: float(w) for name, w in self.weights.items()})

    def annotators(self, store: Store) -> Mapping[str, int]:
        """How many raw annotations of each annotator are consumed."""
        self.check(store)
        if self.minimum_agreement is not None:
            return self.applied(store.read(self.without)).people
        return {name: n for name, n in store.annotators().items() if name not in self.without}

    def check(self, store: Store) -> None:
        """UserError when `without` or `weights` names somebody who annotated nothing, or when nobody is left."""
        if self.without or self.weights:
            self.among(store.annotators())

    def among(self, annotators: Iterable[str]) -> None:
        """The same as `check`, of these annotators."""
        known = list(annotators)
        for setting, names in (("without", self.without), ("weights", self.weights)):
            for name in names:
                if name not in known:
                    raise UserError(f"{self.from_}: {setting}: nobody named {name!r} annotated here{closest(name, known)}")
        if self.without and set(known) <= set(self.without):
            raise UserError(f"{self.from_}: without: leaves no annotator of {len(known)}")

    def _weighted(self, annotation: Annotation) -> Annotation:
        weight = self.weights.get(annotation.annotator, 1.0)
        return annotation if weight == 1 else replace(annotation, weight=annotation.weight * weight)
