"""Annotations by the name that a command was given: a study, a store, a run's artifact, or a file of any format that can be imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tutelage.core.errors import UserError
from tutelage.core.rows import ENDINGS
from tutelage.feedback import foreign
from tutelage.feedback.agreement.hours import worked
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.feedback.study.items import read_items
from tutelage.feedback.study.study import Study, read_study

STORE = "annotations.sqlite"


@dataclass(frozen=True)
class Gathered:
    """What there is to count."""

    annotations: tuple[Annotation, ...]
    repeats: tuple[Annotation, ...] = ()
    """What people were asked again, or said again."""
    hours: Mapping[str, float] | None = None
    """Of each person, where a store knows of all their work."""
    of: int | None = None
    """Sheets wanted, where a study says so."""
    pay_per_hour: float | None = None
    currency: str = "$"


def gathered(place: str) -> Gathered:
    """From a study.yaml, a store (a path, a URL, or a folder with `annotations.sqlite` in it) or a file of annotations. UserError: file,
    row, what would be right."""
    path = Path(place)
    if "://" in place:
        return _of_store(Store(place, create=False))
    if path.suffix in (".yaml", ".yml"):
        return _of_study(read_study(path))
    if path.name.endswith(ENDINGS):
        found = foreign.read(path)
        return Gathered(found.annotations, found.repeats)
    if path.is_dir():
        if not (path / STORE).is_file():
            raise UserError(f"{path}: a folder without {STORE}; give a study, a store, a label stage's artifact or a file of annotations")
        path /= STORE
    return _of_store(Store(path, create=False))


def _of_store(store: Store, of: int | None = None, pay_per_hour: float | None = None, currency: str = "$") -> Gathered:
    repeats = tuple(event.annotation for event in store.repeats() if event.annotation)
    return Gathered(tuple(store.read()), repeats, worked(store), of, pay_per_hour, currency)


def _of_study(study: Study) -> Gathered:
    wanted = sum(study.overlap if item.overlap is None else item.overlap for item in read_items(study.items, "work"))
    return _of_store(Store(study.store, create=False), wanted, study.pay_per_hour, study.currency)
