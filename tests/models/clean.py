"""Models whose float64 is float64 throughout: transformers computes RMSNorm and rotary angles in float32 whatever the dtype."""

import types

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


def clean(model: PreTrainedModel) -> PreTrainedModel:
    """`model` in float64, its norms replaced by float64 ones (in place)."""
    model = model.double()
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            plus = 1.0 if "Gemma" in type(module).__name__ else 0.0
            eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
            module.forward = types.MethodType(_norm(plus, eps), module)
    return model


def _norm(plus: float, eps: float):
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * (plus + self.weight)

    return forward
