"""What a stage keeps in memory besides its network: texts and their ids as Python has them, and sampling's caches at full length."""

from tutelage.recipes.beside import MOST
from tutelage.recipes.budget import budget
from tutelage.recipes.forecast.network import Network
from tutelage.recipes.recipe import Recipe, Step, context_of
from tutelage.recipes.rows import reader_of
from tutelage.recipes.sources import STORES
from tutelage.recipes.stage import Judging

BYTES = 55.0
"""Of a token that is held: its id as an object of Python's with a pointer to it, its letters, and its share of the row around it."""
ROWS = 512
"""Answers that are written at the same time (models/sampler.py)."""


def held(recipe: Recipe, step: Step) -> float:
    """Tokens of everything that a stage reads before its first step."""
    return sum(_tokens(recipe, step, field, name) for field, name in step.parents.items())


def _tokens(recipe: Recipe, step: Step, field: str, name: str) -> float:
    context = context_of(recipe, step, str)
    if name in recipe.steps:
        judge = recipe.steps[name].stage
        return float(judge.judged_tokens(context_of(recipe, recipe.steps[name], str))) if isinstance(judge, Judging) else 0.0
    source, kind = recipe.inputs.get(name), reader_of(step, field)
    if source is None or kind is None:
        return 0.0
    size = context.size(name, kind)
    row = size.prompt + size.response
    if source.synthetic is not None and kind == "documents":
        written = MOST if field == "ptx.data" else step.settings.get("tokens") or budget(recipe.model).text_tokens
        return float(min(int(str(written)), 64 * source.most if source.most is not None else MOST * 100))
    if source.synthetic is not None and kind == "demonstrations":
        written = int(str(step.settings.get("tokens") or budget(recipe.model).demonstration_tokens)) if step.method == "sft" else 60_000
        return float(written if source.most is None else min(written, 33 * source.most))
    rows = size.rows if source.most is None or source.given.endswith(STORES) else min(size.rows, source.most)
    return rows * row


def caches(step: Step, network: Network, rehearsed: float, longest: int, bytes_: float) -> float:
    """Bytes that sampling's caches grow by where answers may be `longest` tokens and `rehearsed` were tried."""
    rows = min(ROWS, int(str(step.settings.get("chunk", ROWS))) * int(str(step.settings.get("responses") or 1)))
    return 2 * bytes_ * rows * max(0.0, longest - rehearsed) * network.layers * network.width
