"""From what a recipe names to values: a source of the built-in world or a user's file, and the split that every use keeps to.

Prompts, demonstrations and preferences are each split once, by a hash of what was asked first; what is measured on (`eval`) is never
learnt from, in any stage.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from tutelage.core import readers
from tutelage.core.errors import UserError
from tutelage.core.text import Demonstration, Document, Prompt, content_id
from tutelage.data.splits import split_of, unique
from tutelage.feedback.annotation import Annotation
from tutelage.recipes import preferred
from tutelage.recipes.sources import Input
from tutelage.synthetic import demonstrations as village_demonstrations
from tutelage.synthetic import items, text

T = TypeVar("T")
PROMPTS = {"label": 0.3, "rl": 0.4, "eval": 0.3}
DEMONSTRATIONS = {"sft": 0.95, "eval": 0.05}
PREFERENCES = {"label": 0.9, "eval": 0.1}
HELD_OUT_DOCUMENTS = 200
HELD_OUT_DEMONSTRATIONS = 400


def first_turn(prompt: Prompt) -> str:
    """What a conversation began with: the key by which it is split, so that two continuations never stand on both sides."""
    asked = next((m.text for m in prompt.messages if m.role == "user"), prompt.last)
    return content_id("first turn", asked)


def documents(source: Input, tokens: int, side: str = "sft") -> list[Document]:
    """Text to learn from. `tokens` bounds what the built-in world writes; a file is taken whole (`all`), or but for what is held out."""
    if source.synthetic is not None:
        return text.documents("train", tokens if source.most is None else min(tokens, 64 * source.most), source.seed)
    given = _given(source, readers.documents(source.path))
    return [d for d in given if side in ("all", split_of(d.id, 0, DEMONSTRATIONS))]


def held_out_documents(source: Input) -> list[Document]:
    """Text to measure on, which no stage learns from."""
    if source.synthetic is not None:
        return text.documents("heldout", HELD_OUT_DOCUMENTS * 120, source.seed)
    found = [d for d in _given(source, readers.documents(source.path)) if split_of(d.id, 0, DEMONSTRATIONS) == "eval"]
    return found[:HELD_OUT_DOCUMENTS]


def demonstrations(source: Input, tokens: int, side: str = "sft") -> list[Demonstration]:
    """Demonstrations to imitate; of a file `all`, or those that nothing measures on."""
    if source.synthetic is not None:
        return village_demonstrations.demonstrations(tokens if source.most is None else min(tokens, 33 * source.most), source.seed)
    return _sided(source, side)


def held_out_demonstrations(source: Input) -> list[Demonstration]:
    """Demonstrations to measure on."""
    if source.synthetic is None:
        return _sided(source, "eval")[:HELD_OUT_DEMONSTRATIONS]
    return list(islice(village_demonstrations.written(source.seed, "heldout"), HELD_OUT_DEMONSTRATIONS))


def prompts(source: Input, side: str, seed: int) -> list[Prompt]:
    """The prompts of one split: label, rl or eval; or all of them."""
    given = items.prompts(source.most, source.seed) if source.synthetic else unique(_given(source, readers.prompts(source.path)))
    found = [prompt for prompt in given if side in ("all", split_of(first_turn(prompt), seed, PROMPTS))]
    if not found:
        raise UserError(f"inputs.{source.name}: of {len(given)} prompts in {source.given} none falls into the split '{side}'; give more")
    return found


def preferences(source: Input, side: str) -> list[Annotation]:
    """Annotations of a file (`preferred`): `label` to learn from, `eval` to measure on, or all of them."""
    if source.synthetic is not None:
        raise UserError(f"inputs.{source.name}: {source.given} has no preferences; a label stage makes them")
    given = _given(source, iter(preferred.annotations(source.path, source.name)))
    return [a for a in given if side in ("all", split_of(first_turn(a.prompt), 0, PREFERENCES))]


def _sided(source: Input, side: str) -> list[Demonstration]:
    given = _given(source, readers.demonstrations(source.path, skip_empty=True))
    return [d for d in given if side in ("all", split_of(first_turn(d.prompt), 0, DEMONSTRATIONS))]


def _given(source: Input, rows: Iterator[T]) -> list[T]:
    found = list(islice(rows, source.most))
    if not found:
        raise UserError(f"inputs.{source.name}: {source.given} has no rows")
    return found
