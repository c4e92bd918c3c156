"""Scale a role's gradient down to a norm, also where each process has a share of it.

g <- g min(1, limit / (|g| + 1e-6)),   |g|^2 = sum over processes of |share|^2, plus that of what all of them have whole
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tutelage.models.shards import shard_of


def clip(parameters: Sequence[nn.Parameter], limit: float) -> float:
    """Scale the gradients, in place; returns their norm before, the same number on every process."""
    if not any(shard_of(p) for p in parameters):
        return float(nn.utils.clip_grad_norm_(parameters, limit))
    found = [(p.grad, shard_of(p) is not None) for p in parameters if p.grad is not None]
    shares, whole = _square([g for g, shared in found if shared]), _square([g for g, shared in found if not shared])
    dist.all_reduce(shares)
    norm = float((shares + whole).sqrt())
    scale = min(1.0, limit / (norm + 1e-6))
    for gradient, _ in found if scale < 1 else ():
        gradient.mul_(scale)
    return norm


def _square(gradients: Sequence[Tensor]) -> Tensor:
    """In the processor's memory, where processes of any device meet."""
    zero = torch.zeros((), dtype=torch.float64)
    return sum(((g.norm(dtype=torch.promote_types(g.dtype, torch.float32)).double() ** 2).cpu() for g in gradients), zero)
