"""What is read from hidden states: log-probabilities, entropy and exact KL over the vocabulary, or one scalar.

    logp_m = logit_m[target_m] - logsumexp(logit_m),   H_m = -sum_v p_v log p_v,   KL_m = sum_v p_v (log p_v - log ref_v)

Only rows that predict a trained token come here, and the head runs in chunks whose logits are made again in the backward pass:
a [T, V] tensor never exists, and memory does not grow with the vocabulary beyond one chunk.

M rows, V words, D width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.utils.checkpoint import checkpoint

from tutelage.models.attention import padded

CHUNK = 1024


class ScalarHead(nn.Module):
    """score = (w . h - shift) * scale: a reward model's or value model's head. `shift` and `scale` are constants stored beside the
    weights (demonstrations score 0, samples have unit standard deviation) and are never trained."""

    shift: Tensor
    scale: Tensor

    def __init__(self, width: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, width, dtype=dtype))
        self.register_buffer("shift", torch.zeros((), dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))

    def forward(self, hidden_MD: Tensor) -> Tensor:
        """[M, D] -> [M], float32 (float64 for a float64 model) whatever autocast says."""
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(hidden_MD.device.type, enabled=False):
            raw_M = hidden_MD.to(dtype) @ self.weight[0].to(dtype)
        return (raw_M - self.shift.to(dtype)) * self.scale.to(dtype)

    @torch.no_grad()
    def calibrate(self, shift: float, scale: float) -> None:
        """Set the affine map: `shift` in raw score units, `scale` in 1 / raw score units."""
        self.shift.fill_(shift)
        self.scale.fill_(scale)


def read_words(
    hidden_MD: Tensor,
    words: nn.Module,
    targets_M: Tensor,
    wants: Sequence[str],
    temperature: float = 1.0,
    reference: tuple[Tensor, nn.Module] | None = None,
) -> dict[str, Tensor]:
    """The quantities named in `wants` ("logp", "entropy", "kl") for each row, in chunks.

    `words` maps hidden states to logits; `reference` is (hidden_MD, words) of the model that KL is measured against.
    """
    parts: list[tuple[Tensor, ...]] = []
    M, missing = len(targets_M), padded(len(targets_M)) - len(targets_M)
    hidden_MD, targets_M = pad(hidden_MD, (0, 0, 0, missing)), pad(targets_M, (0, missing))
    other_MD, other_words = (None, None) if reference is None else (pad(reference[0], (0, 0, 0, missing)), reference[1])
    for start in range(0, max(len(targets_M), 1), CHUNK):
        rows = slice(start, start + CHUNK)
        other = None if other_MD is None else other_MD[rows]
        arguments = (hidden_MD[rows], targets_M[rows], tuple(wants), temperature, words, other, other_words)
        if torch.is_grad_enabled():
            parts.append(checkpoint(_chunk, *arguments, use_reentrant=False, preserve_rng_state=False))
        else:
            parts.append(_chunk(*arguments))
    return {want: torch.cat([part[i] for part in parts])[:M] for i, want in enumerate(wants)}


def _chunk(
    hidden: Tensor,
    target: Tensor,
    wants: tuple[str, ...],
    temperature: float,
    words: nn.Module,
    other: Tensor | None,
    other_words: nn.Module | None,
) -> tuple[Tensor, ...]:
    logit_MV = _logits(words, hidden, temperature)
    if tuple(wants) == ("logp",):
        return (-cross_entropy(logit_MV, target, reduction="none"),)
    logp_MV = logit_MV.log_softmax(-1)
    p_MV = logp_MV.exp()
    read = {"logp": logp_MV.gather(-1, target[:, None])[:, 0], "entropy": -(p_MV * logp_MV).sum(-1)}
    if other is not None and other_words is not None:
        with torch.no_grad():
            other_MV = _logits(other_words, other, temperature).log_softmax(-1)
        read["kl"] = (p_MV * (logp_MV - other_MV)).sum(-1)
    return tuple(read[want] for want in wants)


def _logits(words: nn.Module, hidden: Tensor, temperature: float) -> Tensor:
    """In float32 or wider."""
    logit_MV = words(hidden)
    wide_MV = logit_MV if logit_MV.dtype == torch.float64 else logit_MV.float()
    return wide_MV if temperature == 1 else wide_MV / temperature
