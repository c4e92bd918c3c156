"""Runs what is missing of a recipe, and nothing else; says why; goes on where it was killed.

    address(stage) = SHA-256 of (method, settings, addresses of its parents, hashes of its inputs, seed, revision, questions to people)

All addresses are known before anything runs, because a parent enters by what it is made from, not by what came out. An artifact
whose address is in the run directory is whole and is used again; a folder under way at that address is gone on with. So a changed
setting makes its own stage and what comes after it again, and a setting that is changed back finds what was made before.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from tutelage.core.artifact import Artifact
from tutelage.core.files import write_atomic
from tutelage.core.progress import Progress, Silent, clock
from tutelage.core.rows import hash_file
from tutelage.core.run import Run
from tutelage.core.settings import to_plain
from tutelage.engine.ranks import company, ranks
from tutelage.recipes import asked, base, exhausted
from tutelage.recipes.cost import Meter
from tutelage.recipes.decisions import Decisions, obey, said
from tutelage.recipes.door import Door
from tutelage.recipes.licenses import of_folder
from tutelage.recipes.recipe import Recipe, Step
from tutelage.recipes.sources import digest
from tutelage.recipes.stage import Paged
from tutelage.recipes.work import Work

RECIPE = "recipe.yaml"
NEW = "not made yet"


@dataclass(frozen=True)
class Todo:
    """One stage and what is to be done about it."""

    step: Step
    hash: str
    parents: Mapping[str, str]
    """{stage: hash} of what it is made from."""
    inputs: Mapping[str, str]
    made: Artifact | None
    why: str = ""
    """Why it must run; empty when it is whole."""
    remark: str = ""
    """What was edited since it was made and doesn't make it stale, for people."""


@dataclass(frozen=True)
class Outcome:
    """What a run of a recipe left behind."""

    path: Path
    artifacts: Mapping[str, Artifact]
    ran: Mapping[str, str] = field(default_factory=dict[str, str])
    """Stages that ran, and why."""
    seconds: float = 0.0


def run(
    recipe: Recipe, out: Path, progress: Progress | None = None, inexact: bool = False, strict: bool = False, door: Door | None = None
) -> Outcome:
    """Make every artifact of `recipe` that is missing in the run directory `out`.

    `inexact` goes on with a run begun on another processor or torch; `strict` also makes again what other code made; `door` is how
    people reach a stage that waits for them. Raises UserError, before anything is written, for a directory of another recipe or in use;
    Interrupted when the machine fails. After that, a kill or Ctrl-C, the same call goes on. Under torchrun every process calls this: the
    first one leads, the others follow.
    """
    if ranks().rank:
        with company():
            return follow(recipe, out, strict)
    shown = progress or Silent()
    began = time.monotonic()
    recipe = base.looked_up(recipe, out, shown.note)
    with company(), Run.open(out, recipe=recipe.name, recipe_hash=digest(to_plain(recipe.tree)), create=True) as opened:
        decisions = obey(opened.manifest.get("decisions"), inexact)
        todo = plan(recipe, opened, strict)
        if any(item.made is None for item in todo):
            base.fetched(recipe, shown.note)
        settle(opened, recipe, decisions)
        ranks().wait()
        ran: dict[str, str] = {}
        whole: dict[str, Artifact] = {}
        for item in todo:
            if item.remark:
                shown.note(item.remark)
        if any(item.made is None for item in todo):
            shown.note(said(decisions))
        for number, item in enumerate(todo, 1):
            if item.made is None:
                shown.note(f"[{number}/{len(todo)}] {item.step.name}: {item.why}")
                whole[item.step.name] = make(item, recipe, opened, decisions, whole, shown, door or Door())
                ran[item.step.name] = item.why
            else:
                whole[item.step.name] = item.made
                opened.use(item.made)
    return Outcome(out, whole, ran, time.monotonic() - began)


def settle(opened: Run, recipe: Recipe, decisions: Decisions) -> None:
    """Note what was decided, the model's commit, the sources with their licenses, and the recipe as it is run, where they aren't noted
    yet."""
    base.note(recipe, opened)
    manifest = opened.manifest
    noted = {**manifest.get("sources", {}), **sources(recipe)}
    if manifest.get("decisions") != to_plain(decisions) or manifest.get("sources") != noted:
        opened.update(decisions=to_plain(decisions), sources=noted)
    page = yaml.safe_dump(to_plain(recipe.tree), sort_keys=False, allow_unicode=True, width=140)
    if not (opened.path / RECIPE).exists() or (opened.path / RECIPE).read_text() != page:
        write_atomic(opened.path / RECIPE, page)


def sources(recipe: Recipe) -> dict[str, dict[str, str]]:
    """Whatever stages read from outside, by `name:hash`: what was given, the license that the recipe states, and the model's own card's."""
    used = {parent for step in recipe.steps.values() for parent in step.parents.values()}
    said = recipe.licenses
    noted = {
        f"{name}:{given.hash}": {"given": given.given, "license": said.get(name, "apache-2.0" if given.synthetic is not None else "")}
        for name, given in recipe.inputs.items()
        if name in used
    }
    if "model" in used:
        model = recipe.model
        license = said.get("model", "own" if model.new else "")  # a new one has only the data behind it
        noted[f"model:{model.hash}"] = {
            "given": given_model(recipe),
            "license": license,
            "card": of_folder(model.path) if model.path else "",
        }
    return noted


def given_model(recipe: Recipe) -> str:
    """The recipe's model as others may load it: a folder's full path, or a hub id without its revision."""
    model = recipe.model
    if model.new:
        return f"new {model.new.new}"
    return model.hub.repository if model.hub else str(model.path and model.path.resolve())


def plan(recipe: Recipe, opened: Run | None, strict: bool = False) -> list[Todo]:
    """Each stage in order: its address, and whether it is whole or why it must run. `opened` None: nothing was made yet."""
    code = code_hash() if strict else ""
    hashes: dict[str, str] = {}
    made: list[Todo] = []
    for name, step in recipe.steps.items():
        parents = {p: hashes[p] for p in step.parents.values() if p in hashes}
        inputs = {p: recipe.inputs[p].hash for p in step.parents.values() if p in recipe.inputs}
        if "model" in step.parents.values():
            inputs["model"] = recipe.model.hash
        adapter: Any = getattr(step.stage, "adapter", None)
        if getattr(adapter, "kind", "") == "peft":  # asked so, the class would bring peft
            inputs["adapter"] = adapter.hash
        page = step.stage.page_says() if isinstance(step.stage, Paged) else None
        hashes[name] = address(step, parents, inputs, recipe.seed, code, page)
        found = opened.find(name, hashes[name]) if opened else None
        item = Todo(step, hashes[name], parents, inputs, found)
        if found:
            made.append(replace(item, remark=asked.remark(name, step.settings.get("study"), found.results, page) if page else ""))
        else:
            made.append(replace(item, why=reason(item, recipe.seed, opened, made, page)))
    return made


def address(
    step: Step, parents: Mapping[str, str], inputs: Mapping[str, str], seed: int, code: str = "", page: Mapping[str, Any] | None = None
) -> str:
    """The identity of what a stage makes, as 64 hex digits. `page`: what a user's page says to people."""
    # Names of parents are settings too, but their hashes say what they are; both count, so a renamed parent is another artifact.
    more = [*([code] if code else []), *([page["questions"]] if page else [])]
    return digest([step.method, step.settings, dict(parents), dict(inputs), seed, step.stage.revision, *more])


def reason(item: Todo, seed: int, opened: Run | None, before: list[Todo], page: Mapping[str, Any] | None = None) -> str:
    """Why a stage must run, compared with what the run directory last had of it."""
    last = previous(opened, item.step.name) if opened else None
    if last is None:
        return NEW
    causes = differences(dict(last.settings), {"seed": seed, **item.step.settings})
    if page:
        causes += differences(dict(last.results.get("page") or page)["questions"], page["questions"], "questions")
    if last.method != item.step.method:
        causes = [f"method {last.method} -> {item.step.method}"]
    causes += [f"input {name} changed" for name, hash_ in item.inputs.items() if last.inputs.get(name, hash_) != hash_]
    if last.revision != item.step.stage.revision:
        causes.append(f"revision {last.revision} -> {item.step.stage.revision}")
    if not causes:
        causes = [f"comes after {i.step.name}" for i in before if i.hash in item.parents.values() and i.made is None]
    if not causes:
        causes = [f"comes after another {name}" for name, hash_ in item.parents.items() if last.parents.get(name) != hash_]
    return (", ".join(causes) or "the code changed (--strict)") + asked.left(last.results, last.path.name)


def previous(opened: Run, stage: str) -> Artifact | None:
    """The artifact that the stage had last."""
    hash_ = opened.current().get(stage)
    return opened.find(stage, hash_) if hash_ else None


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """`kl_coef 0.03 -> 0.1`, one for each place where two plain trees differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(name for name in new if name not in old)]
        return [line for n in names for line in differences(old.get(n), new.get(n), f"{path}.{n}" if path else n)]
    return [] if old == new else [f"{path} {written(old)} -> {written(new)}"]


def written(value: Any) -> str:
    """A plain value as a recipe writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def make(
    item: Todo, recipe: Recipe, opened: Run, decisions: Decisions, whole: Mapping[str, Artifact], progress: Progress, door: Door
) -> Artifact:
    """Run one stage to its artifact."""
    step, same = item.step, uncut(item, recipe.seed)
    exhausted.carry_over(opened, step, item.hash, same, progress.note)
    folder = opened.building(step.name, item.hash)
    meter = Meter(folder, progress)
    if meter.resumed:
        progress.note(f"{step.name}: goes on after {clock(meter.spent)} of earlier work")
    work = replace(handed(item, recipe, opened, decisions, whole, meter, folder), spent=meter.cost, door=door)
    ranks().wait()
    with exhausted.told(recipe, step, same, folder):
        results = step.stage.run(work)
    cost = meter.finish()
    artifact = Artifact(
        stage=step.name,
        hash=item.hash,
        method=step.method,
        settings={"seed": recipe.seed, **step.settings},
        parents=item.parents,
        inputs=item.inputs,
        revision=step.stage.revision,
        code=code_hash(),
        cost=cost,
        results=results,
    )
    made = opened.finish(artifact)
    ranks().wait()
    progress.note(f"{step.name}: done in {clock(cost['seconds'])}, {cost['tokens']:,.0f} tokens")
    return made


def uncut(item: Todo, seed: int) -> str:
    """The address but for how the work is cut (recipes/exhausted.py)."""
    return exhausted.uncut(item.step, dict(item.parents), dict(item.inputs), seed, code_hash())


def handed(
    item: Todo, recipe: Recipe, opened: Run, decisions: Decisions, whole: Mapping[str, Artifact], progress: Progress, folder: Path
) -> Work:
    """What a stage works with."""
    return Work(
        name=item.step.name,
        dir=folder,
        seed=recipe.seed,
        model=recipe.model,
        decisions=decisions,
        progress=progress,
        journal=lambda event: opened.journal({"stage": item.step.name, **event}),
        run=opened.path,
        recipe=recipe.name,
        objective=item.step.objective,
        sources={name: source(parent, item, recipe, whole) for name, parent in item.step.parents.items()},
        whole=whole,
    )


def follow(recipe: Recipe, out: Path, strict: bool = False) -> Outcome:
    """What the other processes do under torchrun: train along in the stages that train, wait while the first one does the others.
    They write nothing."""
    began = time.monotonic()
    together = ranks()
    together.wait()
    recipe = base.looked_up(recipe, out, Silent().note)
    opened = Run.view(out)
    decisions = obey(opened.manifest["decisions"], inexact=False)
    whole: dict[str, Artifact] = {}
    todo = plan(recipe, opened, strict)
    if any(item.made is None for item in todo):
        base.fetched(recipe, Silent().note)  # another machine's cache may lack what the first process has
    for item in todo:
        if item.made is None:
            together.wait()
            if hasattr(item.step.stage, "machine"):  # only stages that train have it
                folder = opened.under_way(item.step.name, item.hash)
                with exhausted.told(recipe, item.step, uncut(item, recipe.seed), folder):
                    item.step.stage.run(handed(item, recipe, opened, decisions, whole, Silent(), folder))
            together.wait()
        made = item.made or opened.find(item.step.name, item.hash)
        assert made is not None
        whole[item.step.name] = made
    return Outcome(out, whole, seconds=time.monotonic() - began)


def source(parent: str, item: Todo, recipe: Recipe, whole: Mapping[str, Artifact]) -> Any:
    """What a parent's name stands for."""
    if parent in item.parents:
        return whole[parent]
    return recipe.model if parent == "model" else recipe.inputs.get(parent)


def code_hash() -> str:
    """Of every source file of the package: noted in each artifact, obeyed only with `strict`."""
    root = Path(__file__).parents[1]
    return digest([[path.relative_to(root).as_posix(), hash_file(path)] for path in sorted(root.rglob("*.py"))])[:16]


def others_code(todo: list[Todo]) -> list[str]:
    """Stages that are whole but were made by other code than this."""
    here = code_hash()
    return [item.step.name for item in todo if item.made and item.made.code != here]
