"""The oracle: one masked product over the whole stream. Quadratic in T; for tests."""

import torch
from torch import Tensor

from tutelage.models.attention.blocks import softmax
from tutelage.models.attention.plan import Plan


def attend(q_THd: Tensor, k_THd: Tensor, v_THd: Tensor, plan: Plan, scale: float, window: int | None) -> Tensor:
    """[T, H, d]"""
    seen_TT = plan.seen_TT
    if window is not None:
        seen_TT = seen_TT & (plan.position_T[:, None] - plan.position_T[None, :] < window)
    group = q_THd.shape[1] // k_THd.shape[1]
    q_HTd, k_HTd, v_HTd = (x.transpose(0, 1) for x in (q_THd, k_THd.repeat_interleave(group, 1), v_THd.repeat_interleave(group, 1)))
    weight = softmax(torch.matmul(q_HTd, k_HTd.transpose(1, 2)) * scale, seen_TT)
    return torch.matmul(weight.to(v_HTd.dtype), v_HTd).transpose(0, 1)
