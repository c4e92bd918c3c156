"""A stage: settings and parents in, one artifact out. One file in `recipes/stages/`, named as recipes name it.

    @dataclass(frozen=True)
    class Sft:
        "What it does, in a sentence."
        revision: ClassVar[int] = 1
        produces: ClassVar[Kind] = "model"
        takes: ClassVar[Mapping[str, tuple[Kind, ...]]] = {"init": ("model",), "data": ("input",)}

        data: str
        "Demonstrations: an input."
        init: str = "model"
        "The stage whose weights it begins with; `model` is the recipe's own."
        epochs: Annotated[int, Ge(1)] = 2

        def parents(self) -> dict[str, str]:
            return {"init": self.init, "data": self.data}

        def check(self, context: Context) -> None: ...
        def run(self, work: Work) -> dict[str, Any]: ...

A stage never asks whether it was begun before, nor what must run again: the runner knows that from what is on disk. It only
writes into `work.dir`, which survives a kill, and goes on from what it finds there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.recipes.sizes import Size, size_of
from tutelage.recipes.sources import Input, Model
from tutelage.recipes.work import Work

Kind = Literal["model", "reward", "annotations", "report", "input", "nothing"]
"""What a name in a recipe stands for: what a stage produces (the recipe's `model` counts as a model), or an input; in `takes`,
"nothing" says that the input may be null."""


@dataclass(frozen=True)
class Context:
    """What a stage may look at before anything runs: the checked settings of the whole recipe."""

    name: str
    """The stage's own."""
    stages: Mapping[str, "Stage"]
    """Every stage, by name."""
    inputs: Mapping[str, Input]
    model: Model
    objective: Any
    """Built from the stage's settings where `method` names an objective, else None."""
    place: Callable[[str], str]
    """From a setting's path to its file, line and full path."""

    def size(self, name: str, kind: str) -> Size:
        """Of the input `name`, read as rows of a kind, as far as this stage takes them."""
        return size_of(self.inputs[name], kind, self.model, getattr(self.stages.get(self.name), "max_length", None))

    def answer(self, policy: str, longest: int) -> float:
        """Tokens that an answer of the stage `policy` is expected to have: as the demonstrations have that it, or what it was made from,
        learnt from; `longest` where there are none."""
        stage = self.stages.get(policy)
        while stage is not None:
            if (data := getattr(stage, "data", None)) in self.inputs and hasattr(stage, "train_history"):
                size = self.size(str(data), "demonstrations")
                return min(float(longest), size.response) if size.response else float(longest)
            stage = self.stages.get(getattr(stage, "init", ""))
        return float(longest)

    def fault(self, field: str, sentence: str) -> UserError:
        """An error about the setting `field` ("evals.2"), for the stage to raise."""
        return UserError(f"{self.place(field)}: {sentence}")

    def known(self, field: str, name: str, names: Mapping[str, object] | tuple[str, ...], what: str) -> None:
        """Raise the error for a `name` that isn't among `names`: known("evals.0", "helpfull", EVALS, "eval")."""
        if name not in names:
            raise self.fault(field, f"there is no {what} '{name}'{closest(name, names)}")

    def stage(self, field: str) -> "Stage | None":
        """The stage that `field` names; None where it names an input or the recipe's model."""
        return self.stages.get(self.stages[self.name].parents()[field])


def measured_apart(split: str, context: Context) -> None:
    """UserError where a stage that learns from all rows stands in one recipe with one that measures on some of them."""
    reports = [name for name, stage in context.stages.items() if stage.produces == "report"]
    if split == "all" and reports:
        raise context.fault("split", f"with split: all nothing is left for {reports[0]} to measure on; take one of the two out")


@runtime_checkable
class Stage(Protocol):
    """A frozen dataclass whose fields are the settings (at most 20)."""

    revision: ClassVar[int]
    """Raised when the same settings now make something else: every artifact of an earlier revision is then stale."""
    produces: ClassVar[Kind]
    takes: ClassVar[Mapping[str, tuple[Kind, ...]]]
    """What each field of `parents` may name, by the field's first part."""

    def parents(self) -> dict[str, str]:
        """What is read, by the setting that names it: {"init": "sft", "models.0": "base"}. Names of stages, of inputs, or `model`."""
        ...

    def check(self, context: Context) -> None:
        """Raise `context.fault` for what types, ranges and `takes` can't say: evals that don't exist, settings that don't fit."""
        ...

    def run(self, work: Work) -> dict[str, Any]:
        """Do it, or what is left of it, inside `work.dir`; give the figures that belong into the manifest (plain values)."""
        ...


@runtime_checkable
class Foreseen(Protocol):
    """What a stage may have besides, so that `tutelage plan` can tell its cost."""

    def expected_tokens(self, context: Context) -> int | None:
        """About how many tokens its ticks will count; None where nothing is known. Looks at settings and sizes of inputs only."""
        ...


@runtime_checkable
class Judging(Protocol):
    """What a stage that produces annotations may have besides, so that those that learn from them can tell theirs."""

    def judged_tokens(self, context: Context) -> int:
        """About how many tokens all annotations have, each with its prompt."""
        ...

    def judged_rows(self, context: Context) -> int:
        """How many annotations."""
        ...


@runtime_checkable
class Billed(Protocol):
    """What a stage that asks others for money may have besides."""

    def bill(self, context: Context) -> str:
        """What it may cost, in a sentence; empty where it asks nobody. Looks at settings alone."""
        ...


@runtime_checkable
class Paged(Protocol):
    """What a stage that puts a user's page before people has besides (recipes/asked.py)."""

    def page_says(self) -> Mapping[str, Any] | None:
        """The page as it is now: `questions`, which enter the stage's address, `guidelines` and `overlap`; None where there is no page."""
        ...
