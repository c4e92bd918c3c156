"""What people's judgements cost before anybody is asked: labels x seconds x wage, the wage as the study's page says it."""

from pathlib import Path

from tutelage.core.settings import read_yaml
from tutelage.feedback.rehearsal import Rehearsal
from tutelage.recipes.recipe import Recipe, Step, context_of
from tutelage.recipes.stages.evaluate import Evaluate
from tutelage.recipes.stages.label import Label

USUAL = Rehearsal()


def labels(recipe: Recipe, step: Step) -> int:
    """Answers that people are asked for."""
    stage, context = step.stage, context_of(recipe, step, str)
    if isinstance(stage, Label):
        return stage.judged_rows(context)
    assert isinstance(stage, Evaluate)
    return 2 * stage.overlap * stage.expected_pairs(context)  # which is better, and how good


def labor(recipe: Recipe, step: Step) -> str:
    """In a line."""
    page = getattr(step.stage, "study", None)
    said = read_yaml(Path(page)).tree if page else {}
    wage = said.get("pay_per_hour") if isinstance(said, dict) else None
    sign = said.get("currency", "$") if isinstance(said, dict) else "$"
    count = labels(recipe, step)
    hours = count * USUAL.seconds / 3600
    paid = USUAL.pay_per_hour if wage is None else float(str(wage))
    whose = f"{page}'s wage" if wage is not None else "a usual wage: say pay_per_hour on the study's page"
    return (
        f"{step.name}: {count:,} labels x {USUAL.seconds:.0f} s = {hours:,.1f} hours x {sign}{paid:g} = {sign}{hours * paid:,.0f} "
        f"({whose}; {USUAL.seconds:.0f} s is the median of crowd workers on pairs)"
    )
