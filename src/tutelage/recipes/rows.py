"""Reads the user's files whole before anything runs: a broken row in the last stage's input is found now and not in an hour.

Which reader a setting's input is for is told by the setting's name (`prompts`, `preferences`, ...); a stage whose names say
something else declares it: `reads: ClassVar[Mapping[str, str]] = {"data": "documents"}`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tutelage.core import readers
from tutelage.core.errors import UserError
from tutelage.core.text import Demonstration, Document, Prompt
from tutelage.recipes import preferred
from tutelage.recipes.recipe import Recipe, Step
from tutelage.recipes.sources import Input, Model

READERS: Mapping[str, Callable[[Path], Iterator[Any]]] = {
    "demonstrations": readers.demonstrations,
    "preferences": preferred.rows,
    "prompts": readers.prompts,
    "documents": readers.documents,
}
NAMES = {"text": "documents", "data": "documents"}
"""What settings, and sources of the built-in world, are called that are not called after their rows."""


def check_rows(recipe: Recipe, steps: Iterable[Step]) -> None:
    """Read every file that `steps` read, once for each use. Raises UserError with file, row and field."""
    done: set[tuple[str, str]] = set()
    for step in steps:
        for field, name in step.parents.items():
            source = recipe.inputs.get(name)
            kind = reader_of(step, field)
            if source is None or kind is None or (name, kind) in done:
                continue
            if source.synthetic is not None:
                check_synthetic(source, source.synthetic, kind, f"stages.{step.name}.{field}")
                continue
            done.add((name, kind))
            check_file(source, kind, recipe.model, f"stages.{step.name}.too_long=leave_out" if refuses(step) else "")


def reader_of(step: Step, field: str) -> str | None:
    """`demonstrations`, ...: what the rows of this setting's input are; None where nothing says."""
    own = field.split(".")[-1]
    declared: Mapping[str, str] = getattr(step.stage, "reads", {})
    named = declared.get(field) or ("demonstrations" if (step.method, field) == ("sft", "data") else NAMES.get(own, own))
    return named if named in READERS else None


def refuses(step: Step) -> bool:
    """Whether a prompt that fills the context is an error for this stage."""
    return step.settings.get("too_long") == "refuse"


def check_synthetic(source: Input, given: str, kind: str, place: str) -> None:
    """The built-in world's sources are told apart by their names."""
    if NAMES.get(given, given) != kind:
        right = next((name for name, named in NAMES.items() if named == kind), kind)
        raise UserError(f"{place}: {kind} are read here, but inputs.{source.name} is {source.given}; give synthetic:{right} or a file")


def check_file(source: Input, kind: str, model: Model, otherwise: str) -> None:
    """Every row reads; where the model is a folder and long prompts are refused, every prompt leaves room in its context."""
    length, limit = lengths(model) if otherwise and kind != "documents" else (None, 0)
    count = 0
    for count, row in enumerate(READERS[kind](source.path), 1):
        if length and length(asked(row)) >= limit:
            raise UserError(
                f"{source.given}: the prompt of row {count} has {length(asked(row)):,} tokens, but the model's context is {limit:,}; "
                f"shorten it, or set {otherwise}"
            )
    if not count:
        raise UserError(f"{source.given}: no {kind} in it")


def asked(row: Prompt | Demonstration | tuple[Prompt, Any, Any]) -> Prompt:
    """The prompt of a row of any kind."""
    if isinstance(row, Prompt):
        return row
    assert not isinstance(row, Document)
    return row.prompt if isinstance(row, Demonstration) else row[0]


def lengths(model: Model) -> tuple[Callable[[Prompt], int] | None, int]:
    """How many tokens a prompt has for the model in a folder, and its context; nothing where it is made later."""
    if model.path is None:
        return None, 0
    from tutelage.data.render import Renderer
    from tutelage.models.dressing import config_in, tokenizer_in

    limit = getattr(config_in(model.path).get_text_config(), "max_position_embeddings", None)
    renderer = Renderer(tokenizer_in(model.path))
    return (lambda prompt: len(renderer.prompt(prompt))) if limit else None, limit or 0
