"""Models whose float64 is float64 throughout."""

from transformers import PreTrainedModel

from tutelage.engine.invariants import families


def clean(model: PreTrainedModel) -> PreTrainedModel:
    """`model` in float64, its norms replaced by float64 ones (in place)."""
    return families.clean(model.double())
