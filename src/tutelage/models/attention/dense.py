"""The oracle of the blocks: one masked product over the whole stream. Quadratic in T; for tests."""

from torch import Tensor

from tutelage.models.attention.beside import Scoring, attended


def attend(q_THd: Tensor, k_THd: Tensor, v_THd: Tensor, how: Scoring) -> Tensor:
    """[T, H, d]"""
    seen_TT, position_T = how.plan.seen_TT.to(q_THd.device), how.plan.position_on(q_THd.device)
    if how.window is not None:
        seen_TT = seen_TT & (position_T[:, None] - position_T[None, :] < how.window)
    group = q_THd.shape[1] // k_THd.shape[1]
    q_HTd, k_HTd, v_HTd = (x.transpose(0, 1) for x in (q_THd, k_THd.repeat_interleave(group, 1), v_THd.repeat_interleave(group, 1)))
    return attended(q_HTd, k_HTd, v_HTd, seen_TT, position_T, how).transpose(0, 1)
