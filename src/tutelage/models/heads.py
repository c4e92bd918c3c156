"""What is read from hidden states: log-probabilities, entropy and exact KL over the vocabulary, or one scalar.

    logp_m = logit_m[target_m] - logsumexp(logit_m),   nll = -sum_m logp_m
    H_m = -sum_v p_v log p_v,   KL_m = sum_v p_v (log p_v - log ref_v)

Only rows that predict a trained token come here, and the head runs in chunks: a [T, V] tensor never exists, and memory does not grow with
the vocabulary beyond one chunk. Where a chunk's gradient is needed its logits are made again in the backward pass, except for `nll`, whose
gradient is known at once (models/likelihood.py).

M rows, V words, D width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from torch.utils.checkpoint import checkpoint

from tutelage.models.attention import padded
from tutelage.models.likelihood import CHUNK, likelihood, total_nll


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


class Words(nn.Module):
    """From hidden states to logits: cap * tanh(x / cap), x = scale * output(hidden)  (the cap as in Gemma 2; None: none)."""

    def __init__(self, output: nn.Module, scale: float = 1.0, cap: float | None = None) -> None:
        super().__init__()
        self.output, self.scale, self.cap = output, scale, cap

    @property
    def matrix(self) -> Tensor | None:
        """[V, D] where the map is this matrix alone, or None."""
        return self._linear if self.scale == 1 and self.cap is None else None

    @property
    def _linear(self) -> Tensor | None:
        """[V, D] where the output is a matrix, whatever happens to its logits."""
        plain = type(self.output) is nn.Linear and self.output.bias is None
        return self.output.weight if plain and isinstance(self.output, nn.Linear) else None

    def forward(self, hidden: Tensor) -> Tensor:
        matrix = self._linear
        # A tied matrix is kept in float32 (models/precision.py), whatever the network computes in.
        logits = self.output(hidden) if matrix is None else linear(hidden, matrix.to(hidden.dtype))
        scaled = logits if self.scale == 1 else logits * self.scale
        return scaled if self.cap is None else torch.tanh(scaled / self.cap) * self.cap


def read_words(
    hidden_MD: Tensor,
    words: Words,
    targets_M: Tensor,
    wants: Sequence[str],
    temperature: float = 1.0,
    reference: tuple[Tensor, Words] | None = None,
) -> dict[str, Tensor]:
    """The quantities named in `wants`: "logp", "entropy", "kl" for each row, "nll" for all. `reference` is (hidden_MD, words) of the model
    that KL is measured against."""
    M, missing = len(targets_M), padded(len(targets_M)) - len(targets_M)
    padded_MD, padded_M = pad(hidden_MD, (0, 0, 0, missing)), pad(targets_M, (0, missing))
    if words.matrix is not None and set(wants) <= {"logp", "nll"}:
        computed = _computed(padded_MD)
        if tuple(wants) == ("nll",):
            return {"nll": total_nll(computed, words.matrix, padded_M, M, temperature)}
        logp_M = likelihood(computed, words.matrix, padded_M, temperature)[:M]
        return {want: logp_M if want == "logp" else -logp_M.sum() for want in wants}
    rows = [want if want != "nll" else "logp" for want in wants]
    read = _in_chunks(padded_MD, words, padded_M, rows, temperature, _padded(reference, missing))
    return {want: -x[:M].sum() if want == "nll" else x[:M] for want, x in zip(wants, read, strict=True)}


def _computed(hidden: Tensor) -> Tensor:
    """In what autocast, where it is on, multiplies."""
    device = hidden.device.type
    return hidden.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else hidden


def _padded(reference: tuple[Tensor, Words] | None, missing: int) -> tuple[Tensor, Words] | None:
    return None if reference is None else (pad(reference[0], (0, 0, 0, missing)), reference[1])


def _in_chunks(
    hidden_MD: Tensor, words: Words, targets_M: Tensor, wants: Sequence[str], temperature: float, reference: tuple[Tensor, Words] | None
) -> list[Tensor]:
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, max(len(targets_M), 1), CHUNK):
        rows = slice(start, start + CHUNK)
        other, other_words = (None, None) if reference is None else (reference[0][rows], reference[1])
        arguments = (hidden_MD[rows], targets_M[rows], tuple(wants), temperature, words, other, other_words)
        if torch.is_grad_enabled():
            parts.append(checkpoint(_chunk, *arguments, use_reentrant=False, preserve_rng_state=False))
        else:
            parts.append(_chunk(*arguments))
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def _chunk(
    hidden: Tensor,
    target: Tensor,
    wants: tuple[str, ...],
    temperature: float,
    words: Words,
    other: Tensor | None,
    other_words: Words | None,
) -> tuple[Tensor, ...]:
    logp_MV = _logits(words, hidden, temperature).log_softmax(-1)
    p_MV = logp_MV.exp()
    read = {"logp": logp_MV.gather(-1, target[:, None])[:, 0], "entropy": -(p_MV * logp_MV).sum(-1)}
    if other is not None and other_words is not None:
        with torch.no_grad():
            other_MV = _logits(other_words, other, temperature).log_softmax(-1)
        read["kl"] = (p_MV * (logp_MV - other_MV)).sum(-1)
    return tuple(read[want] for want in wants)


def _logits(words: Words, hidden: Tensor, temperature: float) -> Tensor:
    """In float32 or wider."""
    logit_MV = words(hidden)
    wide_MV = logit_MV if logit_MV.dtype == torch.float64 else logit_MV.float()
    return wide_MV if temperature == 1 else wide_MV / temperature
