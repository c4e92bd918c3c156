"""From what was measured in miniature to the whole: seconds and bytes of each stage.

Linear in everything that grows: steps, rows, answers, and layers where a network was tried with one and two of them,

    cost(L) = cost(1) + (L - 1) (cost(2) - cost(1)).

An evaluation is tried with two numbers of prompts and one policy; the others cost as much. What its evals sample beside (pairs for
reward models, the best of four of a parent) is counted as answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from statistics import median
from typing import Any

from tutelage.recipes.budget import budget
from tutelage.recipes.decisions import Decisions, available_bytes
from tutelage.recipes.forecast.held import BYTES, caches, held
from tutelage.recipes.forecast.miniature import ANSWERED, miniature, sampled_models, written
from tutelage.recipes.forecast.network import Network, memory_of, operations, training_speed
from tutelage.recipes.forecast.rehearsal import Rehearsed, rehearse
from tutelage.recipes.recipe import Recipe, Step, context_of
from tutelage.recipes.reinforced import Reinforced
from tutelage.recipes.stage import Foreseen
from tutelage.recipes.stages.evaluate import Evaluate

WHOLE = 60e6
"""Parameters up to which a model is tried as it is."""
PATIENCE = 120.0
"""Seconds of arithmetic above which nothing is tried."""
FEW = 2
"""Layers of the larger trial."""
GROWS = 1.05
"""By which a run's peak is above that of its first steps: the longest rows come sooner or later, and freed memory is kept in pieces."""


@dataclass(frozen=True)
class Measured:
    """Of one stage, whole."""

    seconds: float
    memory: float
    spread: float
    """Share of the seconds that its steps differed by."""


def measured(
    recipe: Recipe, wanted: frozenset[str], network: Network, decisions: Decisions, say: Callable[[str], None]
) -> dict[str, Measured | str]:
    """Each stage of `wanted`: what it would cost; a sentence where it can't be measured."""
    short = miniature(recipe, recipe.model, wanted)
    layers = _layers(recipe, network)
    if why := _too_much(short, network, decisions, max(layers)):
        return dict.fromkeys(wanted, why)
    tried = [rehearse(recipe, wanted, decisions, count, say) for count in layers]
    found: dict[str, Measured | str] = {}
    extra = reached = 0.0
    for name in recipe.steps:
        here = [some.get(name) for some in tried]
        if name not in wanted or None in here:
            continue
        failed = next((one for one in here if isinstance(one, str)), None)
        if failed is not None:
            found[name] = failed
            continue
        extra = max(extra, BYTES * (held(recipe, recipe.steps[name]) - held(short, short.steps[name])))
        whole = [_whole(recipe, short, name, some, network, count, decisions) for some, count in zip(tried, layers, strict=True)]
        own = _extended(whole, network.layers, extra)
        # What a stage has freed stays with the process (tutelage/__init__.py), so no later one's peak is lower.
        reached = max(reached, own.memory) if decisions.device == "cpu" else own.memory
        found[name] = replace(own, memory=reached)
    return found


def _layers(recipe: Recipe, network: Network) -> tuple[int, ...]:
    """Of the networks that are tried; 0: the model as it is."""
    there = recipe.model.path is None or any(recipe.model.path.glob("*.safetensors"))
    if network.parameters <= WHOLE or network.layers <= FEW:
        return (0,) if there else (network.layers,)
    return (1, FEW)


def _too_much(short: Recipe, network: Network, decisions: Decisions, layers: int) -> str:
    """Why not even the miniature can be tried here; empty where it can."""
    trial = Network(network.width, layers or network.layers, network.ffn, network.vocabulary)
    needs = {name: memory_of(step, trial) for name, step in short.steps.items()}
    worst = max(needs, key=lambda name: needs[name], default="")
    if worst and needs[worst] > 0.8 * available_bytes():
        return f"{trial.layers} layers of this model would need about {needs[worst] / 2**30:.1f} GiB to try"
    work = 0.0
    for step in short.steps.values():
        tokens = step.stage.expected_tokens(context_of(short, step, str)) if isinstance(step.stage, Foreseen) else 0
        work += operations(step) * trial.parameters * (tokens or 0)
    seconds = work / training_speed(decisions)
    return f"even a miniature would take about {seconds / 60:.0f} minutes here" if seconds > PATIENCE else ""


def _extended(whole: list[Measured], layers: int, extra: float) -> Measured:
    """To all layers."""
    if len(whole) == 1:
        (one,) = whole
        return Measured(one.seconds, GROWS * (one.memory + extra), one.spread)
    one, two = whole

    def line(a: float, b: float) -> float:
        return max(a + (layers - 1) * (b - a) / (FEW - 1), b)

    spread = one.spread + two.spread
    return Measured(line(one.seconds, two.seconds), GROWS * (line(one.memory, two.memory) + extra), spread)


def _whole(
    recipe: Recipe, short: Recipe, name: str, tried: dict[str, Any], network: Network, layers: int, decisions: Decisions
) -> Measured:
    step, found = recipe.steps[name], tried[name]
    assert isinstance(found, Rehearsed)
    trial = Network(network.width, layers or network.layers, network.ffn, network.vocabulary)
    longest, expected = answers(recipe, step)
    peak = found.peak + caches(step, trial, expected, longest, 2.0 if decisions.dtype == "bfloat16" else 4.0)
    if isinstance(step.stage, Evaluate):
        more = tried.get(f"{name}: more")
        return Measured(_evaluation(recipe, short, step, step.stage, found, more if isinstance(more, Rehearsed) else found), peak, 0.1)
    return Measured(_stage(recipe, short, step, found), peak, _spread(found))


def answers(recipe: Recipe, step: Step) -> tuple[int, float]:
    """Tokens at which a stage's answers are cut, and those that they are expected to have; 0 where it samples none."""
    stage: Any = step.stage
    longest = getattr(stage, "max_tokens", None) or getattr(getattr(stage, "sampling", None), "max_tokens", 0)
    context = context_of(recipe, step, str)
    models = sampled_models(stage, context) if isinstance(stage, Evaluate) else ()
    policy = models[0] if models else getattr(stage, "policy", None) or getattr(stage, "init", "model")
    return longest, context.answer(policy, longest) if longest else 0.0


def _spread(found: Rehearsed) -> float:
    return (max(found.steps) - min(found.steps)) / 2 / median(found.steps) if len(found.steps) > 1 else 0.0


def _stage(recipe: Recipe, short: Recipe, step: Step, found: Rehearsed) -> float:
    """Seconds of a stage that goes step by step."""
    stage: Any = step.stage
    context = context_of(recipe, step, str)
    tokens = (stage.expected_tokens(context) if isinstance(stage, Foreseen) else None) or found.tokens
    rows = max(1.0, held(recipe, step) / max(held(short, short.steps[step.name]), 1.0))
    load = min(found.load, found.before)
    passes = found.passes * tokens / max(found.tokens, 1.0) / (getattr(stage, "epochs", None) or 1)
    looks = _looks(stage, context, found) if isinstance(stage, Reinforced) else 0.0
    return load + (found.before - load) * rows + passes + tokens * median(found.steps or (0.0,)) + looks + found.after


def _looks(stage: Reinforced, context: Any, found: Rehearsed) -> float:
    """Seconds of looking at the policy in training."""
    if not stage.probe_every:
        return 0.0
    prompts = stage.probe_prompts or budget(context.model).probed_prompts
    share = prompts / (stage.rollouts.prompts * stage.rollouts.samples)
    return (ceil(stage.expected_updates(context) / stage.probe_every) + 1) * share * found.collect


def _evaluation(recipe: Recipe, short: Recipe, step: Step, stage: Evaluate, few: Rehearsed, more: Rehearsed) -> float:
    """Seconds an answer from two sizes; what is paid once a policy is paid by each."""
    context, tried = context_of(recipe, step, str), short.steps[step.name].stage
    assert isinstance(tried, Evaluate)
    here = context_of(short, short.steps[step.name], str)
    prompts = stage.expected_prompts(context)
    low, high = (written(tried, here, max(3, min(count, prompts)), tried.pair_prompts or 0) for count in ANSWERED)
    slope = max(0.0, more.seconds - few.seconds) / (high - low) if high > low else 0.0
    once = max(0.0, few.seconds - slope * low) / len(tried.models)
    answers = written(stage, context, prompts, stage.pair_prompts or budget(recipe.model).pair_prompts)
    return once * len(stage.models) + slope * answers
