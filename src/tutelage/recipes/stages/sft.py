"""Supervised fine-tuning: imitate demonstrations; only what the assistant wrote is trained."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.core.text import Demonstration
from tutelage.data.pieces import Packing, Rows
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.ranks import ranks
from tutelage.engine.rates import Rates
from tutelage.engine.train import Fixed, train
from tutelage.feedback import written
from tutelage.feedback.store import Store
from tutelage.models.adapters import Adapter
from tutelage.objectives.mixture import with_text
from tutelage.objectives.sft import SFT
from tutelage.recipes import material
from tutelage.recipes.beside import Ptx, text_beside
from tutelage.recipes.budget import budget
from tutelage.recipes.judged import study_of
from tutelage.recipes.stage import Context, Judging, measured_apart
from tutelage.recipes.training import Machine, TooLong, begin, fitting, learner, leave, policy_of, renderer
from tutelage.recipes.work import Work

WRITTEN = ("demonstration", "edit")
"""Tasks whose answers can be imitated."""


@dataclass(frozen=True)
class Sft:
    """Fine-tune on demonstrations."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Literal["model"]] = "model"
    takes: ClassVar = {"data": ("input", "annotations"), "init": ("model",), "ptx": ("input",)}

    data: str
    """Demonstrations: an input, or a label stage where people (or the simulated ones) wrote or corrected answers."""
    init: str = "model"
    """The stage whose weights it begins with; `model` is the recipe's own."""
    epochs: Annotated[int, Ge(1)] = 2
    """Times each demonstration is learnt from; 1-3, InstructGPT 16."""
    tokens: Annotated[int, Ge(100)] | None = None
    """Tokens of demonstrations that the built-in world writes; null: by the model's size (nano 20k, tiny 400k). A file is taken whole."""
    step_tokens: Annotated[int, Ge(64)] = 2048
    """Tokens per optimiser step, prompts included."""
    batch: Annotated[int, Ge(1)] | None = None
    """Demonstrations per optimiser step, however long they are; null: `step_tokens` says how much a step is."""
    steps: Annotated[int, Ge(1)] | None = None
    """Optimiser steps; null: what the epochs take."""
    split: Literal["sft", "all"] = "sft"
    """Of a file: `sft` leaves out the twentieth that evals measure on; `all` learns from every row, and nothing is measured on it."""
    max_length: Annotated[int, Ge(2)] | None = None
    """Tokens of prompt and response at which a response is cut; null: the model's context."""
    too_long: TooLong = "refuse"
    """What to do with a demonstration whose prompt fills the context (or `max_length`): refuse it, or leave it out and say how many."""
    train_history: bool = False
    """Also train the assistant's earlier turns of a conversation."""
    rates: Rates = field(default_factory=lambda: Rates(learning_rate=1.5e-3))
    ptx: Ptx | None = None
    """Pre-training text beside the demonstrations, against forgetting; InstructGPT takes a tenth of it."""
    adapter: Adapter | None = None
    """Train a LoRA adapter (or DoRA, or a learnt prefix) instead of all weights."""
    machine: Machine = field(default_factory=Machine)

    def parents(self) -> dict[str, str]:
        named = {"data": self.data, "init": self.init}
        return {**named, "ptx.data": self.ptx.data} if self.ptx else named

    def check(self, context: Context) -> None:
        measured_apart(self.split, context)
        task = getattr(context.stage("data"), "task", None)
        if task not in (None, *WRITTEN):
            raise context.fault("data", f"{self.data} asks for {task}; to imitate there is {' or '.join(WRITTEN)}")

    def expected_tokens(self, context: Context) -> int | None:
        judge = context.stage("data")
        if judge is not None:
            if not isinstance(judge, Judging):
                return None
            rows, epoch = judge.judged_rows(context), judge.judged_tokens(context)
        else:
            size = context.size(self.data, "demonstrations")
            given, kept = context.inputs[self.data].synthetic is None, 0.95 if self.split == "sft" else 1.0
            epoch = round(kept * size.tokens) if given else self.tokens or budget(context.model).demonstration_tokens
            rows = max(1, round(epoch / max(size.prompt + size.response, 1.0)))
        step = self.batch * epoch / rows if self.batch else self.step_tokens
        steps = self.steps or self.epochs * max(1, epoch / step)
        return round(steps * (step + (self.ptx.tokens if self.ptx else 0)))

    def run(self, work: Work) -> dict[str, Any]:
        model, words = begin(work, self.adapter)
        render = renderer(model, words, self.adapter, self.max_length)
        given, told = self._given(work)
        rows = fitting(work, given, lambda row: row.prompt, render, self.too_long)
        part = "sft" if self.ptx else ""
        made = [[replace(tree, part=part) for tree in render.demonstration(row, self.train_history, self.data)] for row in rows]
        trees = [tree for of_row in made for tree in of_row]
        order = self._order(made, work.seed)
        policy = policy_of(work, self.machine, {"policy": learner(model, self.adapter, work.seed)}, words, self.adapter)
        objective = with_text(part, SFT(), SFT(), self.ptx.coef) if self.ptx else SFT()
        text = text_beside(work, self.ptx, render) if self.ptx else None
        engine = Engine(policy, objective, {"policy": self.rates}, self.machine.micro_tokens, ranks())
        source, steps = Fixed(order.at, text), self.steps or order.steps * self.epochs
        shown = (f"{part}/nll" if part else "nll",)
        train(engine, source, steps, work.dir, work.progress, work.name, self.machine.checkpoint_every, shown=shown)
        cut = sum(not all(tree.finished) for tree in trees)
        told |= {"rows": len(rows), "left_out": len(given) - len(rows), "cut": cut, "steps": steps}
        return {**leave(work, policy, policy.roles["policy"]), **told}

    def _order(self, made: list[list[Tree]], seed: int) -> Packing | Rows[Tree]:
        """Which trees each step learns from."""
        if self.batch is not None:
            return Rows(tuple(map(tuple, made)), self.batch, seed)
        trees = tuple(tree for of_row in made for tree in of_row)
        return Packing(trees, max(self.step_tokens, max(tree.length for tree in trees)), seed=seed)

    def _given(self, work: Work) -> tuple[list[Demonstration], dict[str, Any]]:
        """The demonstrations, and what to note of whose they are."""
        source = work.sources["data"]
        if not isinstance(source, Artifact):
            return material.demonstrations(work.input("data"), self.tokens or budget(work.model).demonstration_tokens, self.split), {}
        store = Store(source.path / "annotations.sqlite", create=False)
        given = list(written.demonstrations(store.read()))
        if not given:
            raise UserError(f"stage {work.name}: nobody wrote anything in {self.data} that could be imitated")
        return given, {"consumed": store.annotators(), "consumed_hash": store.hash, **study_of(source)}
