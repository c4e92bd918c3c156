"""Preferences that a recipe is given as a file: chosen and rejected, another tool's annotations as it exported them, or a store.

Rows of chosen and rejected name nobody; their annotator is the input. Everything else keeps its people. Of a file that also holds other
judgements (ratings, texts) what orders responses is taken; of several aspects the whole (`overall`), or the only one.
"""

from collections.abc import Iterator
from pathlib import Path

from tutelage.core import readers
from tutelage.core.errors import UserError
from tutelage.core.formats import Pair
from tutelage.core.rows import records
from tutelage.feedback import foreign, tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.recipes.sources import STORES


def annotations(path: Path, name: str) -> list[Annotation]:
    """What a file says about which response is better. UserError with file, row and field, or where it says nothing of the kind."""
    if path.suffix in STORES:
        return _ordering(list(Store(path, create=False).read()), path)
    row = next(records(path)).values
    form = next((one for one in foreign.names() if one != "hh" and foreign.load(one).recognize(row)), None)
    if form is None:
        given = readers.preferences(path)
        return [Annotation(prompt, tuple(responses), "pair", answer, annotator=name) for prompt, responses, answer in given]
    return _ordering(list(foreign.read(path, form).annotations), path)


def rows(path: Path) -> Iterator[Pair | tuple[object, ...]]:
    """(prompt, responses, answer) of each: reads the file whole, to find what is wrong with it before anything runs."""
    yield from ((a.prompt, a.responses, a.answer) for a in annotations(path, ""))


def _ordering(found: list[Annotation], path: Path) -> list[Annotation]:
    """Those that give preferences, of one aspect."""
    kept = [a for a in found if tasks.load(a.task).gives == "preferences"]
    if not kept:
        held = ", ".join(sorted({a.task for a in found})) or "nothing that was judged"
        raise UserError(f"{path}: holds no preferences between responses; it holds {held}")
    aspects = sorted({a.aspect for a in kept})
    if "overall" not in aspects and len(aspects) > 1:
        several = f"judges {', '.join(aspects)} apart, and nothing overall"
        raise UserError(f"{path}: {several}; import what is meant, `tutelage label import {path} --store S --without QUESTION`, and give S")
    return [a for a in kept if a.aspect == ("overall" if "overall" in aspects else aspects[0])]
