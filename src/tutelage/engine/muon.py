"""Muon (Jordan 2024): step a matrix by the nearest orthogonal matrix of its momentum, so rare directions are learnt as fast as common ones.

    m <- mu m + (1 - mu) g,   u = (1 - mu) g + mu m,   w <- w - lr (0.2 sqrt(max(rows, columns)) orthogonal(u) + decay w)

orthogonal(u): five steps of x <- a x + (b x x' + c (x x')^2) x, a Newton-Schulz iteration in bfloat16 that brings all singular values
near 1. The factor gives steps AdamW's root mean square (Liu et al., arXiv 2502.16982), so AdamW's rates serve. The numbers are those of
`torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, which the tests compare with; matrices of one shape go through the iteration together,
because a small model's are too small to keep a processor busy one after another.

N matrices of one shape, R rows, C columns.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from tutelage.models.shards import shape_of, shard_of

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """`params`: groups of matrices, each with its `lr` and `weight_decay`."""

    def __init__(self, params: Iterable[dict[str, Any]]) -> None:
        super().__init__(params, {"lr": 1e-3, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(shape_of(p), []).append(p)
            for shape, alike in shapes.items():
                steps_NRC = orthogonal(torch.stack([_whole(p, self._momentum(p)) for p in alike]))
                scale = group["lr"] * 0.2 * max(shape) ** 0.5
                for p, step_RC in zip(alike, steps_NRC, strict=True):
                    own = step_RC if (shard := shard_of(p)) is None else shard.own(step_RC)
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(own.to(p.device), alpha=-scale)

    def _momentum(self, p: Tensor) -> Tensor:
        """Nesterov's: the gradient and the running mean, mixed once more."""
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        mean = state["momentum"]
        mean.lerp_(p.grad, 1 - MOMENTUM)
        return p.grad.lerp(mean, MOMENTUM)


def _whole(p: Tensor, x: Tensor) -> Tensor:
    """What each process has a share of, gathered: directions are those of the whole matrix. Each then makes the same step of it."""
    shard = shard_of(p)
    return x if shard is None else shard.whole(x)


def orthogonal(x_NRC: Tensor) -> Tensor:
    """[N, R, C] -> the same shape in bfloat16: near each matrix, all singular values near 1."""
    a, b, c = COEFFICIENTS
    tall = x_NRC.shape[1] > x_NRC.shape[2]
    x = x_NRC.bfloat16().mT if tall else x_NRC.bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
