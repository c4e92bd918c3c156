"""What attention over a path may have besides: a cap on scores, a sink, and keys that were learnt.

    s_j = cap * tanh( q . k_j / (cap * sqrt(d)) )                            with a soft cap (Gemma 2), else q . k_j / sqrt(d)
    o   = sum_j exp(s_j) v_j / ( sum_j exp(s_j) + exp(sink) )            with a sink for each head (gpt-oss)

j runs over the token's path, and over the keys of a learnt prefix (Li & Liang 2021), which stand before every path's first token: a
sliding window counts them as positions -P .. -1. One softmax over all columns is the join by log-sum-exp of the two edges.

H heads, Q queries, K keys of paths, P keys of the prefix, d head width; any dimensions before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.models.attention.plan import Plan

HIDDEN = -1e30
"""The score of what isn't seen. Finite: a padded query of a windowed layer may see no key at all, and its row is never read."""


@dataclass(frozen=True)
class Beside:
    """`prefix` is (keys, values), [P, H, d] each."""

    cap: float | None = None
    sink_H: Tensor | None = None
    prefix: tuple[Tensor, Tensor] | None = None

    @property
    def nothing(self) -> bool:
        return self.cap is None and self.sink_H is None and self.prefix is None

    def capped(self, score: Tensor) -> Tensor:
        """In float32 or wider."""
        wide = score if score.dtype == torch.float64 else score.float()
        return wide if self.cap is None else torch.tanh(wide / self.cap) * self.cap


NOTHING = Beside()


@dataclass(frozen=True)
class Scoring:
    """How a layer scores: what is the same for all of its blocks."""

    plan: Plan
    scale: float
    window: int | None = None
    beside: Beside = NOTHING


def attended(q_HQd: Tensor, k_HKd: Tensor, v_HKd: Tensor, seen_HQK: Tensor, position_Q: Tensor, how: Scoring) -> Tensor:
    """[..., H, Q, d] what the queries at these positions of their paths get. `seen` may have one head for all."""
    score = torch.matmul(q_HQd, k_HKd.transpose(-1, -2)) * how.scale
    columns = [how.beside.capped(score).masked_fill(~seen_HQK, HIDDEN)]
    values = [v_HKd]
    if how.beside.prefix is not None:
        key_HPd, value_HPd = (_for_all_heads(x, q_HQd) for x in how.beside.prefix)
        columns.append(_of_prefix(q_HQd, key_HPd, position_Q, how))
        values.append(value_HPd)
    parts = weights(columns, how.beside.sink_H, v_HKd.dtype)
    out = torch.matmul(parts[0], v_HKd)
    return out if len(values) == 1 else out + torch.matmul(parts[1], values[1])


def weights(columns: list[Tensor], sink_H: Tensor | None, dtype: torch.dtype) -> Sequence[Tensor]:
    """One softmax over all columns of scores [..., H, Q, any], and over the sink where there is one, whose weight nobody gets."""
    widths = [column.shape[-1] for column in columns]
    sink = [] if sink_H is None else [sink_H[..., None, None].to(columns[0]).expand(*columns[0].shape[:-1], 1)]
    scores = [*columns, *sink]
    weight = (scores[0] if len(scores) == 1 else torch.cat(scores, -1)).softmax(-1).to(dtype)
    return weight[..., : sum(widths)].split(widths, -1) if len(scores) > 1 else [weight]


def _of_prefix(q_HQd: Tensor, key_HPd: Tensor, position_Q: Tensor, how: Scoring) -> Tensor:
    """[..., H, Q, P] the scores of the prefix."""
    score = how.beside.capped(torch.matmul(q_HQd, key_HPd.transpose(-1, -2)) * how.scale)
    if how.window is None:
        return score
    position_P = torch.arange(-key_HPd.shape[-2], 0, device=score.device)
    return score.masked_fill(position_Q[..., None] - position_P >= how.window, HIDDEN)


def _for_all_heads(x_PHd: Tensor, q_HQd: Tensor) -> Tensor:
    """[H, P, d] with a copy of each key head for every query head of its group, in the queries' dtype."""
    group = q_HQd.shape[-3] // x_PHd.shape[1]
    return x_PHd.transpose(0, 1).repeat_interleave(group, 0).to(q_HQd.dtype)
