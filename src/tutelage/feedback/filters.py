"""What a consumer takes from a store: the filter stands at the consumer, so the annotations themselves are never touched.

    reward_model: {method: reward, init: sft, preferences: {from: preferences, without: [ann-07]}}

Leaving an annotator out makes only this consumer (and what follows) stale, since its input's hash is that of what is left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store, hash_of


@dataclass(frozen=True)
class Filter:
    """In a recipe either a stage's name alone, or {from: NAME, without: [ANNOTATOR, ...]}."""

    from_: str
    """The stage or input whose annotations are consumed."""
    without: tuple[str, ...] = ()
    """Annotators left out."""

    def read(self, store: Store, task: str | None = None) -> Iterator[Annotation]:
        """What is consumed, in the order of ids. UserError for an unknown annotator."""
        self.check(store)
        return store.read(self.without, task=task)

    def hash(self, store: Store) -> str:
        """Hash of what is consumed: without `without`, the store's own."""
        self.check(store)
        return hash_of(store.ids(self.without))

    def annotators(self, store: Store) -> Mapping[str, int]:
        """How many annotations of each annotator are consumed."""
        self.check(store)
        return {name: n for name, n in store.annotators().items() if name not in self.without}

    def check(self, store: Store) -> None:
        """UserError when `without` names somebody who annotated nothing, or leaves nobody."""
        if not self.without:
            return
        known = list(store.annotators())
        for name in self.without:
            if name not in known:
                raise UserError(f"{self.from_}: without: nobody named {name!r} annotated here{closest(name, known)}")
        if set(known) <= set(self.without):
            raise UserError(f"{self.from_}: without: leaves no annotator of {len(known)}")
