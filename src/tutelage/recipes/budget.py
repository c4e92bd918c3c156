"""How much work a stage does where its settings leave that open: one dial, the size of the recipe's new model.

nano is for tests: the whole pipeline in seconds, no effect is claimed. tiny is the demo's. A model that is given (a folder, a hub id)
learns from whole files, so only the number of updates and of answers is taken from here.
"""

from dataclasses import dataclass

from tutelage.recipes.sources import Model


@dataclass(frozen=True)
class Budget:
    text_tokens: int
    """Of plain text to pre-train on."""
    demonstration_tokens: int
    """That the built-in world writes."""
    judged_prompts: int
    """That annotators judge."""
    updates: int
    """Rounds of sampling and learning in reinforcement learning."""
    answered_prompts: int
    """Of the eval split."""
    pair_prompts: int
    """Whose answers make the pairs that reward models are tested on."""
    probed_prompts: int
    """That are looked at during reinforcement learning."""


BUDGETS = {
    "nano": Budget(60_000, 20_000, 64, 2, 60, 12, 16),
    "tiny": Budget(1_600_000, 400_000, 6000, 80, 3000, 300, 128),
    "small": Budget(6_000_000, 800_000, 6000, 80, 3000, 300, 128),
}
GIVEN = Budget(1_600_000, 400_000, 1200, 48, 200, 100, 64)


def budget(model: Model) -> Budget:
    """The budget of a recipe's model."""
    return BUDGETS[model.new.new] if model.new else GIVEN
