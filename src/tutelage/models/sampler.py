"""Sampling from any transformers causal model, by its own modules and our cache; by its own cache where ours can't serve
(models/speaking.py tries it).

A prompt is read once however many responses are drawn from it; rows leave the batch as they end; the number that draws token t of
a response is `uniforms(max_tokens, *address)[t]`. So a response is a function of weights, prompt, settings and address: in float64
exactly, below that up to a draw that falls within rounding of the border between two words. What makes it fast on a processor: one
number per token rather than one per word, no cache that is copied at every step, no finished row that is decoded to the end, and, on a
processor that multiplies bfloat16, our own kernels (models/slots.py, models/fused/packed.py).

B rows, T tokens of a response, Q columns of a call, V words, D width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from tutelage.core.errors import UserError
from tutelage.core.randomness import Key, uniforms
from tutelage.models import cache, own, slots, steps
from tutelage.models.decoding import PREFILL, Prompt, Rows, attending, through
from tutelage.models.fused.packed import pack_weight, packed, product
from tutelage.models.precision import computes
from tutelage.models.prefix import Learnt, spoken, spoken_cache
from tutelage.models.roles import words
from tutelage.models.sampling import Sampling, draw
from tutelage.models.speaking import DIVERGED, voice

__all__ = ["Sampled", "Sampler", "Sampling"]

ROWS = 512
"""Responses written at the same time; fewer leave a processor waiting for small operations."""


@dataclass(frozen=True)
class Sampled:
    """One response: its ids (the end token is the last of a finished one), the log-probability of each, and whether it ended."""

    ids: tuple[int, ...]
    logp: tuple[float, ...]
    finished: bool


@dataclass(frozen=True)
class _How:
    """How a model writes: its prompts' reading (prompts, max_tokens), a step (ids [B, 1], positions, rows) -> [B, 1, D], and which
    prompts are written together (prompts, rows at most)."""

    read: Callable[[Sequence[Prompt], int], tuple[Rows, Tensor]]
    step: Callable[[Tensor, Tensor, Any], Tensor]
    batches: Callable[[Sequence[Prompt], int], Iterator[list[int]]]


def _batches(prompts: Sequence[Prompt], rows: int) -> Iterator[list[int]]:
    """Places of prompts: equal ones, and equal lengths, side by side."""
    order = sorted(range(len(prompts)), key=lambda n: (len(prompts[n]), prompts[n]))
    return (order[start : start + rows] for start in range(0, len(order), rows))


def _of_one_length(prompts: Sequence[Prompt], rows: int) -> Iterator[list[int]]:
    """The same, no two lengths together, and no more tokens than are read in one pass."""
    order = sorted(range(len(prompts)), key=lambda n: (len(prompts[n]), prompts[n]))
    for length, group in groupby(order, key=lambda n: len(prompts[n])):
        equal, most = list(group), min(rows, max(1, PREFILL // length))
        yield from (equal[start : start + most] for start in range(0, len(equal), most))


class Sampler:
    """Draws responses from `model`: a causal model of transformers, or a peft model around one; the adapter (LoRA and its kind, or a
    learnt prefix) that is active when `generate` is called is the one that speaks. Weights are read when `generate` is called: there is
    nothing to refresh after an update.

    `end`: id of the end token. `rows`: responses written at the same time. `dtype`: torch.bfloat16 runs under autocast.
    """

    def __init__(self, model: nn.Module, end: int, rows: int = ROWS, dtype: torch.dtype | None = None) -> None:
        inner = model.get_base_model() if isinstance(model, PeftModel) else model
        assert isinstance(inner, PreTrainedModel)
        self.network, self.model = model, inner
        self.end, self.rows, self.dtype = end, rows, dtype

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        addresses: Sequence[tuple[Key, ...]],
        sampling: Sampling,
        progress: Callable[[int], None] | None = None,
    ) -> list[Sampled]:
        """A response to each prompt, in order. `addresses[n]` is where response n's numbers come from; `progress` hears after
        each step how many tokens were written. Raises UserError for an empty prompt or one that leaves no room in the context,
        FloatingPointError for a model whose weights have diverged."""
        with torch.inference_mode():
            prefix = spoken(self.network)
            self._check(prompts, sampling, 0 if prefix is None else prefix.tokens)
            keys = [tuple(prompt) for prompt in prompts]
            sampled: list[Sampled | None] = [None] * len(keys)
            with self._speaking(prefix) as how, self._autocast():
                self._words = self._matrix()
                for chosen in how.batches(keys, self.rows):
                    numbers_BT = np.stack([uniforms(sampling.max_tokens, *addresses[n]) for n in chosen])
                    read = how.read([keys[n] for n in chosen], sampling.max_tokens)
                    written = self._write(how, *read, torch.from_numpy(numbers_BT), sampling, progress)
                    for n, response in zip(chosen, written, strict=True):
                        sampled[n] = response
        return [response for response in sampled if response is not None]

    @contextmanager
    def _speaking(self, prefix: Learnt | None) -> Iterator["_How"]:
        """Within, the model writes as it can (models/speaking.py)."""
        model, way = self.model, voice(self.model)
        if way.way == "ours":
            whole = self.dtype is None and steps.takes(model)
            kind = slots.read if way.plain and slots.takes(model) else partial(cache.read, device=model.device)
            with attending(model), nullcontext() if whole else packed(model):
                forward = through(model)
                yield _How(partial(kind, forward=forward, prefix=prefix), steps.Steps(model) if whole else forward, _batches)
            return
        if way.way == "anew" and prefix is not None:
            raise UserError(f"{type(model).__name__} keeps nothing from word to word, so it can't speak with a learnt prefix")
        begin = partial(own.OwnCache, model) if way.way == "own" else lambda past: own.Anew(model)
        with own.by_itself(model):
            read = partial(own.read, begin=lambda rows: begin(spoken_cache(self.network, rows)), device=model.device)
            yield _How(lambda prompts, tokens: read(prompts), own.step, _of_one_length)

    def _write(
        self,
        how: "_How",
        kept: Rows,
        hidden_BD: Tensor,
        numbers_BT: Tensor,
        sampling: Sampling,
        progress: Callable[[int], None] | None,
    ) -> list[Sampled]:
        """All responses of one batch."""
        device, rows = self.model.device, len(numbers_BT)
        logits_BV = self._words(hidden_BD)
        numbers_BT = numbers_BT.to(device)
        ids_BT = torch.zeros(numbers_BT.shape, dtype=torch.long, device=device)
        logp_BT = torch.zeros(numbers_BT.shape, dtype=torch.promote_types(logits_BV.dtype, torch.float32), device=device)
        length_B = torch.full((rows,), sampling.max_tokens, device=device)
        finished_B = torch.zeros(rows, dtype=torch.bool, device=device)
        live_B = torch.arange(rows, device=device)
        for t in range(sampling.max_tokens):
            token_B, now_B = draw(logits_BV, numbers_BT[live_B, t], sampling)
            ids_BT[live_B, t], logp_BT[live_B, t] = token_B, now_B
            if progress is not None:
                progress(len(live_B))
            ended_B = token_B == self.end
            if bool(ended_B.any()):
                length_B[live_B[ended_B]], finished_B[live_B[ended_B]] = t + 1, True
                order_B = kept.keep(~ended_B)
                live_B, token_B = live_B[order_B], token_B[order_B]
            if not len(live_B) or t + 1 == sampling.max_tokens:
                break
            logits_BV = self._words(how.step(token_B[:, None], kept.advance(), kept)[:, -1])
        if not bool(logp_BT.isfinite().all()):
            raise FloatingPointError(DIVERGED)
        ids, logp, finished = ids_BT.tolist(), logp_BT.tolist(), finished_B.tolist()
        return [Sampled(tuple(ids[b][:n]), tuple(logp[b][:n]), finished[b]) for b, n in enumerate(length_B.tolist())]

    def _matrix(self) -> Callable[[Tensor], Tensor]:
        """From hidden states to logits, the matrix of words rounded, and packed where we can, once rather than at every step."""
        head = words(self.model)
        if head.matrix is None:
            return head
        matrix = head.matrix.to(self.dtype or computes(self.model))
        packed = pack_weight(matrix)
        if packed is not None:
            return lambda hidden: product(hidden.to(matrix.dtype), packed)
        return lambda hidden: linear(hidden.to(matrix.dtype), matrix)

    def _check(self, prompts: Sequence[Sequence[int]], sampling: Sampling, known: int) -> None:
        context = getattr(self.model.config, "max_position_embeddings", None)
        context = None if context is None else context - known
        for n, prompt in enumerate(prompts):
            if not len(prompt):
                raise UserError(f"prompt {n} is empty: a model needs at least one token to go on from")
            if context is not None and len(prompt) + sampling.max_tokens > context:
                raise UserError(
                    f"prompt {n} has {len(prompt)} tokens and max_tokens is {sampling.max_tokens}; together they must fit {context}"
                )

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        """Autocast keeps a weight's cast copy only while the weight wants a gradient; without that it casts at every step."""
        if self.dtype is None:
            yield
            return
        frozen = [p for p in self.model.parameters() if not p.requires_grad and p.is_floating_point()]
        try:
            for p in frozen:
                p.requires_grad_(True)
            with torch.autocast(self.model.device.type, dtype=self.dtype):
                yield
        finally:
            for p in frozen:
                p.requires_grad_(False)
