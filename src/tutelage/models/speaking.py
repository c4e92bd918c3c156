"""How can a model write? It is tried, as whether it reads trees is (models/readable.py): two rows of unequal length go on for a few tokens
with our cache, and what comes out is compared with plain passes over the whole rows. A model may refuse (attention of its own), or take our
cache and yet keep something else from token to token (a convolution, a recurrence), which would be lost without a word.

Then it writes by its own modules, slower: with the cache that it keeps itself where that gives the right numbers, else by reading every row
anew at each step.

Q tokens of a row, D width.
"""

from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.models import cache, own
from tutelage.models.decoding import attending, through
from tutelage.models.precision import computes
from tutelage.models.quiet import quiet
from tutelage.models.readable import NEAR, ROUNDED, WIDE

DIVERGED = "the model gives log-probabilities that are no finite numbers: its weights have diverged"
SHORT, LONG, MORE = 13, 24, 3
"""Tokens of the two prompts, and how many each goes on for."""


@dataclass(frozen=True)
class Voice:
    """`ours`: with our cache; `own`: with the model's own; `anew`: without any. `why` not with ours, if so. `plain`: attention has nothing
    besides (models/attention/beside.py), so our kernels could compute it."""

    way: Literal["ours", "own", "anew"]
    why: str = ""
    plain: bool = True

    @property
    def note(self) -> str:
        """For people; empty where there is nothing to say."""
        if self.way == "ours":
            return ""
        how = "with its own cache" if self.way == "own" else "reading everything anew for each"
        return f"words are written by the model's own modules, {how} ({self.why}): the same numbers, slower"


_known: "WeakKeyDictionary[PreTrainedModel, Voice]" = WeakKeyDictionary()


def voice(model: PreTrainedModel) -> Voice:
    """How `model` writes; tried once for each model, which is left as it was. Raises FloatingPointError for one that has diverged."""
    if model not in _known:
        # The sample's ids are arbitrary: a pad among them is no fault.
        with quiet(), torch.inference_mode(), torch.autocast(model.device.type, enabled=False):
            _known[model] = _tried(model)
    return _known[model]


def _tried(model: PreTrainedModel) -> Voice:
    name, rows = type(model).__name__, _rows(model)
    near = NEAR if computes(model) in WIDE else ROUNDED
    with own.by_itself(model):
        truth = [_whole(model, row) for row in rows]
    if not all(bool(hidden.isfinite().all()) for hidden in truth):
        raise FloatingPointError(DIVERGED)
    why, plain, off = "", True, torch.inf
    try:
        found, plain = _with_ours(model, rows)
        off = _distance(found, truth)
        why = f"{name} keeps more from word to word than keys and values (hidden states differ by {off:.1e})"
    except (NotImplementedError, ValueError, TypeError) as refused:
        why = f"{name}: {str(refused).splitlines()[0]}"
    if off < near:
        return Voice("ours", plain=plain)
    try:
        with own.by_itself(model):
            kept = _distance([_with_own(model, row) for row in rows], truth) < near
    except (NotImplementedError, ValueError, TypeError) as refused:
        why, kept = f"{why}; its own cache: {str(refused).splitlines()[0]}", False
    return Voice("own" if kept else "anew", why, plain)


def _rows(model: PreTrainedModel) -> list[tuple[int, ...]]:
    words, context = model.config.get_text_config().vocab_size, getattr(model.config, "max_position_embeddings", None) or LONG + MORE
    lengths = [min(length + MORE, context) for length in (SHORT, LONG)]
    return [tuple((first + 7 * n) % words for n in range(length)) for first, length in enumerate(lengths, 1)]


def _whole(model: PreTrainedModel, row: tuple[int, ...]) -> Tensor:
    """[MORE, D] the last hidden states of a row."""
    return model.base_model(input_ids=torch.tensor([row], device=model.device), use_cache=False).last_hidden_state[0, -MORE:]


def _with_ours(model: PreTrainedModel, rows: list[tuple[int, ...]]) -> tuple[list[Tensor], bool]:
    """The same with our cache, both rows together; and whether attention had nothing besides."""
    forward = through(model)
    ids_BQ = torch.tensor([row[-MORE:] for row in rows], device=model.device)
    with attending(model):
        kept, _ = cache.read([row[:-MORE] for row in rows], MORE, forward, model.device)
        hidden = [forward(ids_BQ[:, n : n + 1], kept.advance(), kept) for n in range(MORE)]
    return list(torch.cat(hidden, 1)), kept.plain


def _with_own(model: PreTrainedModel, row: tuple[int, ...]) -> Tensor:
    """The same of a row and its copy, of which one is dropped."""
    kept, _ = own.read([row[:-MORE]] * 2, lambda _: own.OwnCache(model, None), model.device)
    kept.keep(torch.tensor([False, True], device=model.device))
    ids_1Q = torch.tensor([row[-MORE:]], device=model.device)
    return torch.cat([own.step(ids_1Q[:, n : n + 1], kept.advance(), kept) for n in range(MORE)], 1)[0]


def _distance(found: list[Tensor], truth: list[Tensor]) -> float:
    """Of the token that is furthest off; in bfloat16 of the middle one, because a rounding may send a token to another expert. What isn't
    kept is missing at every token."""
    a, b = torch.cat(found), torch.cat(truth)
    off = (a - b).norm(dim=-1) / b.norm(dim=-1)
    return float(off.max() if a.dtype in WIDE else off.float().median())
