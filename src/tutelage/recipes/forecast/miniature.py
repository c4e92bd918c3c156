"""A recipe in miniature: the same stages, in the same order, with the same settings, a few steps each; what `plan` times.

Nothing is imitated: batches, roles, objectives, adapters, precision, sampling and reading are the run's own, so their speed and memory
are too. What is changed: how long stages last (steps, updates, prompts, rows of inputs); that answers end after as many tokens as they
are expected to have, since a model that has learnt for four steps doesn't know how to end; that people and judges are not asked (answers
are put in any order); that a rule which rewards is not called.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

from tutelage.core.settings import to_plain
from tutelage.core.text import Prompt, Response
from tutelage.feedback.annotation import Annotation
from tutelage.recipes.comparing import answering
from tutelage.recipes.recipe import Recipe, Step, as_dict, context_of
from tutelage.recipes.reinforced import Reinforced
from tutelage.recipes.sources import STORES, Input, Model
from tutelage.recipes.stage import Context
from tutelage.recipes.stages.evaluate import Evaluate
from tutelage.recipes.stages.label import Label
from tutelage.recipes.stages.preference import Preference
from tutelage.recipes.stages.pretrain import Pretrain
from tutelage.recipes.stages.reward import Reward
from tutelage.recipes.stages.sft import Sft

STEPS = 5
"""Optimizer steps of a stage; the first, which is slower, isn't timed."""
UPDATES = 2
"""Rounds of reinforcement learning, of which the last is timed."""
ROWS = 2000
"""Of an input, at most."""
PROMPTS = 256
"""That answers are sampled to for annotators."""
ANSWERED = (64, 512)
"""Prompts of the two evaluations between which is told what a prompt costs and what is paid once."""
PAIRS = 8
"""Prompts whose answers make pairs."""
SHAPED: Mapping[str, Any] = {
    "ranking": lambda k: {"tiers": [[n] for n in range(k)]},
    "pair": lambda k: {"winner": 0},
    "best_worst": lambda k: {"best": 0, "worst": k - 1},
}
"""Answers that nobody gave, by task: any will do, where only their form counts."""


def nothing(prompt: Prompt, response: Response) -> float:
    """In place of a rule."""
    return 0.0


@dataclass(frozen=True)
class Unasked(Label):
    """A label stage whose people, or judge, aren't asked."""

    produces: ClassVar = "annotations"

    def _judged(self, said: Any, seed: int) -> list[Annotation]:
        return [Annotation(p, r, self.task, SHAPED[self.task](len(r)), f"nobody-{n}") for p, r in said for n in range(self.overlap)]


def miniature(recipe: Recipe, model: Model, wanted: frozenset[str], answered: int = ANSWERED[0]) -> Recipe:
    """`recipe` with `model`, its `wanted` stages and what they are made from shortened. Stages that can't be are left out."""
    order = [step for step in recipe.steps.values() if step.name in _above(recipe, wanted)]
    inputs = {name: source if source.given.endswith(STORES) else replace(source, most=ROWS) for name, source in recipe.inputs.items()}
    steps: dict[str, Step] = {}
    for step in order:
        short = shortened(step, context_of(recipe, step, str), answered)
        if short is not None and all(parent in {*steps, *inputs, "model"} for parent in short.parents().values()):
            steps[step.name] = replace(step, stage=short, settings={**step.settings, **as_dict(to_plain(short))}, parents=short.parents())
    return replace(recipe, model=model, inputs=cast(dict[str, Input], inputs), steps=steps)


def _above(recipe: Recipe, wanted: frozenset[str]) -> set[str]:
    """The stages, and whatever they are made from."""
    found: set[str] = set()
    for name in reversed(recipe.steps):
        if name in wanted or name in found:
            found |= {name, *(parent for parent in recipe.steps[name].parents.values() if parent in recipe.steps)}
    return found


def shortened(step: Step, context: Context, answered: int) -> Any:
    """The stage as it is rehearsed; None where it has no shorter form."""
    stage: Any = step.stage
    if isinstance(stage, Pretrain):
        tokens = None if stage.epochs or context.inputs[stage.data].synthetic is None else 64 * ROWS
        return replace(stage, steps=STEPS, tokens=tokens)
    if isinstance(stage, Sft):
        return replace(stage, steps=STEPS)
    if isinstance(stage, Reward | Preference):
        return replace(stage, steps=STEPS)
    if isinstance(stage, Label):
        return _label(stage, context)
    if isinstance(stage, Reinforced):
        return _reinforced(stage, context)
    return _evaluate(stage, context, answered) if isinstance(stage, Evaluate) else None


def _label(stage: Label, context: Context) -> Any:
    length = round(context.answer(stage.policy, stage.sampling.max_tokens))
    count = min(PROMPTS, stage.expected_prompts(context))
    sampling = replace(stage.sampling, max_tokens=max(1, length))
    if stage.by not in ("people", "judge"):
        return replace(stage, count=count, sampling=sampling)
    if stage.task not in SHAPED:
        return None
    same = {name: value for name, value in vars(stage).items() if name not in ("by", "judge", "study", "enough")}
    overlap = 2 if stage.judge else stage.overlap  # a judge is asked in both orders
    return Unasked(**{**same, "overlap": overlap, "count": count, "sampling": sampling})


def _reinforced(stage: Reinforced, context: Context) -> Reinforced:
    length = round(context.answer(stage.init, stage.max_tokens))
    rule = {"reward_model": f"{__name__}:{nothing.__name__}"} if stage.rule else {}
    return replace(stage, updates=UPDATES, max_tokens=max(1, length), probe_prompts=2, **rule)


def _evaluate(stage: Evaluate, context: Context, answered: int) -> Any:
    """Of one stage of each kind; what the others cost follows from their number."""
    models = sampled_models(stage, context)
    if not models or not stage.evals:
        return None
    length = round(context.answer(models[0], stage.sampling.max_tokens))
    sampling = replace(stage.sampling, max_tokens=max(1, length))
    count = max(3, min(answered, stage.expected_prompts(context)))
    return replace(
        stage,
        models=models,
        by="evals",
        judge=None,
        study=None,
        enough=1.0,
        count=count,
        pair_prompts=min(PAIRS, stage.pair_prompts or PAIRS),
        sampling=sampling,
        claims=(),
    )


def sampled_models(stage: Evaluate, context: Context) -> tuple[str, ...]:
    """The policy whose answers are shortest, one that was reinforced, and a reward model, where there are such and evals ask for them."""
    policies = answering(stage.models, context)
    plain = [name for name in policies if not judged(name, context)]
    longest = stage.sampling.max_tokens
    chosen = sorted(plain or policies, key=lambda name: context.answer(name, longest))[:1]
    if "overoptimization" in stage.evals:
        chosen += [name for name in policies if judged(name, context) and name not in chosen][:1]
    if "reward_accuracy" in stage.evals:
        chosen += [name for name in stage.models if name not in policies][:1]
    return tuple(chosen) if policies else ()


def judged(name: str, context: Context) -> bool:
    """Did it learn from a reward model, so that the best of its parent's answers are measured beside it?"""
    stage = context.stages.get(name)
    return isinstance(stage, Reinforced) and not stage.rule


def written(stage: Evaluate, context: Context, prompts: int, pairs: int) -> float:
    """Answers that an evaluation has written, weighed by their lengths: to prompts and a third as many recombinations, four to each of a
    parent whose best are measured, four to each prompt of the pairs."""
    longest = stage.sampling.max_tokens
    short = context.answer(sampled_models(stage, context)[0], longest)
    # About half of an answer's cost is its words; the rest (its prompt, its grades, its row) is the same for a long one.
    own = sum((1 + context.answer(name, longest) / short) / 2 for name in answering(stage.models, context))
    learnt = [context.stages[name] for name in answering(stage.models, context) if judged(name, context)]
    parents = {(s.init, s.reward_model) for s in learnt if isinstance(s, Reinforced)} if "overoptimization" in stage.evals else set()
    paired = "reward_accuracy" in stage.evals and len(answering(stage.models, context)) < len(stage.models)
    return prompts * (own * (4 / 3 if stage.in_village(context) else 1.0) + 4 * len(parents)) + 4 * pairs * paired
