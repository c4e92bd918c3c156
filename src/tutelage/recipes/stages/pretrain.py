"""Pre-training: learn a language from plain text; every token is trained. A new model gets its tokenizer here."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tutelage.core.errors import UserError
from tutelage.core.text import Document
from tutelage.data.pieces import Packing, Rows, cut
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.ranks import ranks
from tutelage.engine.rates import Rates
from tutelage.engine.train import Fixed, train
from tutelage.models import create, tokenizer
from tutelage.models.adapters import Adapter
from tutelage.objectives.sft import SFT
from tutelage.recipes import material
from tutelage.recipes.budget import budget
from tutelage.recipes.sources import Model
from tutelage.recipes.stage import Context, measured_apart
from tutelage.recipes.training import Machine, begin, context, learner, leave, policy_of, renderer
from tutelage.recipes.work import Work
from tutelage.synthetic.lexicon import vocabulary


@dataclass(frozen=True)
class Pretrain:
    """Train on plain text."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Literal["model"]] = "model"
    takes: ClassVar = {"data": ("input",), "init": ("model",)}

    data: str
    """Text: an input."""
    init: str = "model"
    """`model`: the recipe's own, which is made here when it is `{new: SIZE}`; or a stage to go on from."""
    tokens: Annotated[int, Ge(1000)] | None = None
    """Tokens learnt from; a file that is shorter is read several times. null: by the model's size (nano 60k, tiny 1.6M, small 6M)."""
    epochs: Annotated[int, Ge(1)] | None = None
    """Times the text is read; null: `tokens` says how long."""
    steps: Annotated[int, Ge(1)] | None = None
    """Optimiser steps; null: what `tokens` or the epochs take."""
    step_tokens: Annotated[int, Ge(256)] = 2048
    """Tokens per optimiser step; 2k-4M."""
    batch: Annotated[int, Ge(1)] | None = None
    """Documents per optimiser step, however long they are; null: `step_tokens` says how much a step is."""
    split: Literal["sft", "all"] = "sft"
    """Of a file: `sft` leaves out the twentieth that evals measure on; `all` learns from every row, and nothing is measured on it."""
    max_length: Annotated[int, Ge(2)] | None = None
    """Tokens at which a document is cut into pieces; null: the model's context."""
    vocabulary: Annotated[int, Ge(300)] = 1024
    """Rows of a new model's vocabulary. The built-in world has a word per row, other text a byte-level BPE trained on it."""
    rates: Rates = field(default_factory=lambda: Rates(learning_rate=5e-3, optimizer="muon", weight_decay=0.05))
    adapter: Adapter | None = None
    """Train a LoRA adapter (or DoRA, or a learnt prefix) instead of all weights."""
    machine: Machine = field(default_factory=Machine)

    def parents(self) -> dict[str, str]:
        return {"data": self.data, "init": self.init}

    def check(self, context: Context) -> None:
        measured_apart(self.split, context)
        if self.epochs and self.tokens:
            raise context.fault("epochs", "tokens says how long already; set one of the two")
        if self.batch and not (self.epochs or self.steps):
            raise context.fault("batch", "documents are counted, so say how long in epochs or steps")

    def expected_tokens(self, context: Context) -> int:
        text, wanted = context.size(self.data, "documents"), self.tokens or budget(context.model).text_tokens
        given = context.inputs[self.data].synthetic is None
        epoch = text.tokens * (0.95 if self.split == "sft" else 1.0) if given else wanted
        if self.steps:
            return round(self.steps * (self.batch * text.response if self.batch else self.step_tokens))
        return round(self.epochs * epoch) if self.epochs else wanted

    def run(self, work: Work) -> dict[str, Any]:
        tokens = self.tokens or budget(work.model).text_tokens
        texts = material.documents(work.input("data"), tokens, self.split)
        model, words = self._begin(work, texts)
        render = renderer(model, words, self.adapter, self.max_length)
        rows = tuple(tuple(cut(render.document(text), render.context or context(model))) for text in texts)
        order = Rows(rows, self.batch, work.seed) if self.batch else self._packed(rows, work.seed)
        policy = policy_of(work, self.machine, {"policy": learner(model, self.adapter, work.seed)}, words, self.adapter)
        engine = Engine(policy, SFT(), {"policy": self.rates}, self.machine.micro_tokens, ranks())
        steps = self.steps or (self.epochs * order.steps if self.epochs else max(1, tokens // self.step_tokens))
        train(engine, Fixed(order.at), steps, work.dir, work.progress, work.name, self.machine.checkpoint_every, shown=("nll",))
        epochs = steps / order.steps
        return {**leave(work, policy, policy.roles["policy"]), "rows": len(texts), "steps": steps, "epochs": round(epochs, 3)}

    def _packed(self, rows: tuple[tuple[Tree, ...], ...], seed: int) -> Packing:
        trees = tuple(tree for row in rows for tree in row)
        return Packing(trees, self.step_tokens, seed=seed)

    def _begin(self, work: Work, texts: list[Document]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
        start = work.start("init")
        if not isinstance(start, Model) or start.new is None:
            return begin(work)
        if work.input("data").synthetic is not None:
            words = tokenizer.words(vocabulary(), self.vocabulary)
        else:
            words = tokenizer.bpe((text.text for text in texts), self.vocabulary)
        if not texts:
            raise UserError(f"stage {work.name}: there is no text to learn from")
        return create.new(start.new.new, words, work.seed, start.new.shape), words
