"""A recipe: one page of YAML that says the whole pipeline, checked whole before anything runs.

`load` reads it (a built-in one by name, or a file), applies overrides (`stages.ppo.kl_coef=0.1`), resolves `like:`, builds every
stage's settings strictly, and then looks at the whole: names that lead nowhere, cycles, parents of the wrong kind, what each stage
checks itself. Every fault is a UserError with file, line and path.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from tutelage.core.errors import UserError
from tutelage.core.settings import Lines, Located, Plain, build, closest, located, read_yaml, to_plain
from tutelage.recipes import methods
from tutelage.recipes.sources import Input, Model, New, check_form, input_of, model_of
from tutelage.recipes.stage import Context, Stage


@dataclass(frozen=True)
class Page:
    """A recipe as it is written."""

    schema: Literal[1]
    """Version of this format."""
    stages: dict[str, dict[str, Any]]
    """What is done, by name: `method`, or `like` another stage, and settings. The order of lines doesn't matter."""
    model: New | str | None
    """`{new: tiny}`, a folder, or a hub id such as Qwen/Qwen3-8B, with `@` a branch, tag or commit; null: given on the command line."""
    inputs: dict[str, str | None] = dataclasses.field(default_factory=dict[str, str | None])
    """Files (.jsonl, .jsonl.gz, .parquet) or built-in sources (`synthetic:text`), by name; null: given on the command line."""
    licenses: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    """What you know of the rights in inputs and in `model`, by name: an SPDX id or the hub's (`cc-by-nc-4.0`); `own`: yours. It is noted,
    shown in model cards and obeyed by `tutelage export --commercial`; stating it trains nothing again."""
    seed: Annotated[int, Ge(0)] = 0
    """Of everything that is drawn."""
    memory: Annotated[float, Gt(0.0)] | None = None
    """GiB that may be used; null: what the machine has free."""
    about: str = ""
    """One sentence for people."""


@dataclass(frozen=True)
class Step:
    """One stage of a checked recipe."""

    name: str
    method: str
    stage: Stage
    objective: Any
    """Where `method` names an objective; else None."""
    settings: dict[str, Plain]
    """All of them, defaults included, also the objective's."""
    parents: dict[str, str]
    """By the setting that names them: stages, inputs, or `model`."""


@dataclass(frozen=True)
class Recipe:
    """A recipe that was checked whole; `steps` are in an order in which they can run."""

    name: str
    seed: int
    memory: float | None
    model: Model
    inputs: dict[str, Input]
    steps: dict[str, Step]
    tree: Plain
    """As written, overrides applied: what `tutelage` writes beside the results."""
    licenses: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Of inputs, and of `model`, as far as they were stated."""


def load(source: str, overrides: Iterable[str] = (), seed: int | None = None) -> Recipe:
    """The recipe called `source`, or in that file, with `path=value` overrides. Raises UserError for any fault in any part of it."""
    return check(read(source), Path(source).stem, overrides, seed)


def check(file: Located, name: str, overrides: Iterable[str] = (), seed: int | None = None) -> Recipe:
    """The same for a page that was read already."""
    for text in overrides:
        file = file.overridden(text)
    check_form(file.tree.get("model") if isinstance(file.tree, dict) else None, at(file.name, file.lines, "model"))
    page = build(Page, file.tree, file.name, file.lines)
    seed = page.seed if seed is None else seed
    written, lines = resolved(page.stages, file)
    place = partial(at, file.name, lines)
    model = model_of(page.model, place("model"))
    inputs = {n: input_of(n, given, seed, place(f"inputs.{n}")) for n, given in page.inputs.items() if given is not None}
    steps = {stage: step(stage, tree, file.name, lines) for stage, tree in written.items()}
    if not steps:
        raise UserError(f"{place('stages')}: a recipe needs at least one stage")
    for owner in page.licenses:
        if owner not in (*page.inputs, "model"):
            near = closest(owner, [*page.inputs, "model"])
            raise UserError(f"{place(f'licenses.{owner}')}: there is no input '{owner}'{near}; a license is an input's, or `model`'s")
    order = check_names(steps, page.inputs, place)
    recipe = Recipe(name, seed, page.memory, model, inputs, {stage: steps[stage] for stage in order}, file.tree, page.licenses)
    check_kinds(recipe, page.inputs, place)
    return recipe


def read(source: str) -> Located:
    """The YAML of a built-in recipe (by name) or a file (anything with a slash or .yaml)."""
    if source.endswith((".yaml", ".yml")) or "/" in source:
        return read_yaml(Path(source), source)
    if source not in builtin():
        raise UserError(f"there is no recipe '{source}'{closest(source, builtin())}; a file's name ends in .yaml")
    return read_yaml(Path(str(resources.files("tutelage.recipes") / f"{source}.yaml")), f"{source}.yaml")


def builtin() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(Path(entry.name).stem for entry in resources.files("tutelage.recipes").iterdir() if entry.name.endswith(".yaml"))


def at(file: str, lines: Lines, path: str) -> str:
    """`instructgpt.yaml line 12: stages.ppo.kl_coef`."""
    return located(tuple(int(part) if part.isdigit() else part for part in path.split(".")), file, lines)


def resolved(stages: Mapping[str, dict[str, Any]], file: Located) -> tuple[dict[str, dict[str, Any]], Lines]:
    """Stages with `like:` filled in (own settings win, whole), and line marks that follow what was filled in."""
    lines = dict(file.lines)
    done: dict[str, dict[str, Any]] = {}

    def fill(name: str, path: tuple[str, ...]) -> dict[str, Any]:
        own = stages[name]
        place = located(("stages", name, "like"), file.name, lines)
        if name in path:
            raise UserError(f"{place}: {' -> '.join((*path, name))} is a circle; one of them must name its method")
        if name not in done and "like" in own:
            model = own["like"]
            if model not in stages:
                raise UserError(f"{place}: there is no stage '{model}'{closest(model, stages)}")
            inherited = {key: value for key, value in fill(model, (*path, name)).items() if key not in own}
            marks = {p: mark for p, mark in lines.items() if p[:2] == ("stages", model) and len(p) > 2 and p[2] in inherited}
            lines.update({("stages", name, *p[2:]): mark for p, mark in marks.items()})
            done[name] = {**inherited, **{key: value for key, value in own.items() if key != "like"}}
        return done.setdefault(name, own)

    return {name: fill(name, ()) for name in stages}, lines


def step(name: str, tree: dict[str, Any], file: str, lines: Lines) -> Step:
    """A stage's settings, built and checked against their types and ranges."""
    here = ("stages", name)
    if not isinstance(tree.get("method"), str):
        raise UserError(f"{located(here, file, lines)}: say what it does with method: (one of {', '.join(methods.names())})")
    method = methods.find(tree["method"], located((*here, "method"), file, lines))
    settings = {key: value for key, value in tree.items() if key != "method"}
    own, theirs = keys(method.stage), keys(method.objective) if method.objective else set[str]()
    if own & theirs:
        raise UserError(
            f"{located(here, file, lines)}: {method.name} names a setting {sorted(own & theirs)[0]}, which its stage has as well"
        )
    for key in settings:
        if key not in own | theirs:
            raise UserError(f"{located((*here, key), file, lines)}: unknown setting of {method.name}{closest(key, own | theirs)}")
    stage = build(method.stage, {key: value for key, value in settings.items() if key in own}, file, lines, here)
    objective = None
    if method.objective:
        objective = build(method.objective, {key: value for key, value in settings.items() if key in theirs}, file, lines, here)
    plain = {**as_dict(to_plain(stage)), **(as_dict(to_plain(objective)) if objective else {})}
    return Step(name, method.name, stage, objective, plain, stage.parents())


def keys(cls: type[Any]) -> set[str]:
    """Names of a dataclass's settings, as YAML has them."""
    return {field.name.rstrip("_") for field in dataclasses.fields(cls) if field.init}


def as_dict(plain: Plain) -> dict[str, Plain]:
    assert isinstance(plain, dict)
    return plain


def check_names(steps: Mapping[str, Step], inputs: Mapping[str, str | None], place: Any) -> list[str]:
    """Every parent exists, no name means two things, nothing is made from itself. An order in which stages can run."""
    for name in steps:
        if name in inputs or name == "model":
            raise UserError(
                f"{place(f'stages.{name}')}: '{name}' is already {'an input' if name in inputs else 'the name of the recipe model'}"
            )
    for step_ in steps.values():
        for field, parent in step_.parents.items():
            if parent not in steps and parent not in inputs and parent != "model":
                near = closest(parent, [*steps, *inputs, "model"])
                raise UserError(f"{place(f'stages.{step_.name}.{field}')}: there is no stage or input '{parent}'{near}")
    graph = {name: [p for p in step_.parents.values() if p in steps] for name, step_ in steps.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        raise UserError(f"{place(f'stages.{circle[0]}')}: made from itself: {' -> '.join(circle)}") from None
    order: list[str] = []
    while len(order) < len(graph):  # the page's own order, as far as it can be kept
        order.append(next(name for name, above in graph.items() if name not in order and set(above) <= set(order)))
    return order


def check_kinds(recipe: Recipe, inputs: Mapping[str, str | None], place: Any) -> None:
    """Each parent is of a kind that its stage can take, annotations are of a task that the consumer can learn from; then the
    stages' own checks."""
    stages = {name: step_.stage for name, step_ in recipe.steps.items()}
    for step_ in recipe.steps.values():
        for field, parent in step_.parents.items():
            where = place(f"stages.{step_.name}.{field}")
            takes = step_.stage.takes[field.split(".")[0]]
            if parent in inputs and inputs[parent] is None:
                if "nothing" not in takes:
                    raise UserError(f"{place(f'inputs.{parent}')}: {step_.name} needs it; give it as inputs.{parent}=PATH")
                continue
            kind = "model" if parent == "model" else stages[parent].produces if parent in stages else "input"
            if kind not in takes:
                raise UserError(
                    f"{where}: '{parent}' is {words(kind)}, but {field} takes {' or '.join(words(k) for k in takes if k != 'nothing')}"
                )
            check_task(step_, field, stages.get(parent), where)
        step_.stage.check(context_of(recipe, step_, lambda f, name=step_.name: place(f"stages.{name}.{f}")))


def context_of(recipe: Recipe, step_: Step, place: Callable[[str], str]) -> Context:
    """What a stage of `recipe` may look at before anything runs."""
    stages = {name: other.stage for name, other in recipe.steps.items()}
    return Context(step_.name, stages, recipe.inputs, recipe.model, step_.objective, place)


def check_task(step_: Step, field: str, parent: Stage | None, where: str) -> None:
    """An objective (or a stage) may say which annotation tasks it learns from, in `tasks`."""
    task = getattr(parent, "task", None)
    learnable = getattr(step_.objective, "tasks", None) or getattr(step_.stage, "tasks", None)
    if parent is not None and parent.produces == "annotations" and task and learnable and task not in learnable:
        raise UserError(f"{where}: {step_.method} learns from {' or '.join(learnable)}, but '{step_.parents[field]}' asks for {task}")


def words(kind: str) -> str:
    """A kind in a sentence."""
    return {"input": "an input", "annotations": "annotations", "reward": "a reward model"}.get(kind, f"a {kind}")
