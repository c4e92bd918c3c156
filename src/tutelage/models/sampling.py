"""How a token is drawn: one uniform number per token through the inverse of the cumulative distribution.

    token = min { v : sum_{w <= v} p_w > u * sum_w p_w },   log-probability = log softmax(logits / temperature)[token]

So a row's text depends on its own logits and numbers alone, never on who else is in the batch, and one number is drawn where
`torch.multinomial` draws one per word. Log-probabilities are those of the tempered distribution *before* truncation: what a
trainer recomputes.

B rows, V words.
"""

import ctypes
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from tutelage.models.kernels.build import address, native, takes


@dataclass(frozen=True)
class Sampling:
    """How to sample. The defaults sample the model itself, which is what learning from samples needs."""

    temperature: Annotated[float, Ge(0)] = 1.0
    """Logits are divided by it; 0 takes the likeliest word (its log-probability is then that at temperature 1)."""
    top_k: Annotated[int, Ge(0)] = 0
    """Only the k likeliest words; 0: all."""
    top_p: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Only the likeliest words that together reach this probability."""
    min_p: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Only words at least this share of the likeliest one's probability."""
    max_tokens: Annotated[int, Gt(0)] = 64
    """Length at which a response is cut, its end token included."""

    @property
    def truncates(self) -> bool:
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0


def draw(logits_BV: Tensor, uniform_B: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """(tokens [B], log-probabilities [B] in float32, or float64 for float64 logits). uniform_B: float64 in [0, 1)."""
    if takes(logits_BV) and not sampling.truncates and sampling.temperature != 0:
        return _drawn(logits_BV, uniform_B, 1 / sampling.temperature)
    x_BV = logits_BV if logits_BV.dtype == torch.float64 else logits_BV.float()
    if sampling.temperature not in (0, 1):
        x_BV = x_BV / sampling.temperature
    top_B1 = x_BV.logsumexp(-1, keepdim=True)
    if sampling.temperature == 0:
        token_B1 = x_BV.argmax(-1, keepdim=True)
    else:
        p_BV = torch.exp(x_BV - top_B1)
        mass_BV = (truncated(p_BV, sampling) if sampling.truncates else p_BV).cumsum(-1, dtype=torch.float64)
        # u < 1 keeps u * total below the total, rounded too; only of numbers that are none is the place found past the last word.
        token_B1 = torch.searchsorted(mass_BV, uniform_B[:, None] * mass_BV[:, -1:], right=True).clamp_(max=x_BV.shape[-1] - 1)
    return token_B1[:, 0], (x_BV.gather(-1, token_B1) - top_B1)[:, 0]


def truncated(p_BV: Tensor, sampling: Sampling) -> Tensor:
    """Probabilities with the cut words at 0, not renormalized. top_k, then top_p of what is left, then min_p, as in transformers."""
    if 0 < sampling.top_k < p_BV.shape[-1]:
        p_BV = p_BV.where(p_BV >= p_BV.topk(sampling.top_k).values[:, -1:], 0.0)
    if sampling.top_p < 1:
        sorted_BV, word_BV = p_BV.sort(dim=-1, descending=True, stable=True)
        before_BV = sorted_BV.cumsum(-1, dtype=torch.float64) - sorted_BV
        cut_BV = before_BV >= sampling.top_p * sorted_BV.sum(-1, keepdim=True, dtype=torch.float64)
        p_BV = p_BV.masked_fill(torch.zeros_like(cut_BV).scatter(-1, word_BV, cut_BV), 0.0)
    if sampling.min_p > 0:
        p_BV = p_BV.where(p_BV >= sampling.min_p * p_BV.amax(-1, keepdim=True), 0.0)
    return p_BV


def _drawn(logits_BV: Tensor, uniform_B: Tensor, by: float) -> tuple[Tensor, Tensor]:
    """The same by our kernel (kernels/decode.c): a row is read while it is in the processor's cache."""
    logits_BV, uniform_B = logits_BV.contiguous(), uniform_B.contiguous()
    rows, words = logits_BV.shape
    token_B, logp_B = torch.empty(rows, dtype=torch.long), torch.empty(rows)
    sizes = (ctypes.c_float(by), ctypes.c_int64(rows), ctypes.c_int64(words))
    native().draw(address(logits_BV), address(uniform_B), *sizes, address(token_B), address(logp_B))
    return token_B, logp_B
