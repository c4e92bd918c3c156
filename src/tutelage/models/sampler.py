"""Sampling from any transformers causal model, by its own modules and our cache.

A prompt is read once however many responses are drawn from it; rows leave the batch as they end; the number that draws token t of
a response is `uniforms(max_tokens, *address)[t]`. So a response is a function of weights, prompt, settings and address: in float64
exactly, below that up to a draw that falls within rounding of the border between two words. What makes it fast on a processor: one
number per token rather than one per word, no cache that is copied at every step, no finished row that is decoded to the end, and, on a
processor with AMX, our own kernels (models/slots.py, models/fused/packed.py).

B rows, T tokens of a response, Q columns of a call, V words, D width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from tutelage.core.errors import UserError
from tutelage.core.randomness import Key, uniforms
from tutelage.models import cache, slots, steps
from tutelage.models.decoding import Cache, attending
from tutelage.models.fused.packed import pack_weight, packed, product
from tutelage.models.precision import computes
from tutelage.models.roles import words
from tutelage.models.sampling import Sampling, draw

__all__ = ["Sampled", "Sampler", "Sampling"]

ROWS = 512
"""Responses written at the same time; fewer leave a processor waiting for small operations."""


@dataclass(frozen=True)
class Sampled:
    """One response: its ids (the end token is the last of a finished one), the log-probability of each, and whether it ended."""

    ids: tuple[int, ...]
    logp: tuple[float, ...]
    finished: bool


class Sampler:
    """Draws responses from `model`: a causal model of transformers, or a peft model whose adapters (LoRA and its kind) live inside
    one; the adapter that is active when `generate` is called is the one that speaks. Weights are read when `generate` is called:
    there is nothing to refresh after an update.

    `end`: id of the end token. `rows`: responses written at the same time. `dtype`: torch.bfloat16 runs under autocast.
    """

    def __init__(self, model: nn.Module, end: int, rows: int = ROWS, dtype: torch.dtype | None = None) -> None:
        inner = model.get_base_model() if isinstance(model, PeftModel) else model
        if isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning:
            raise NotImplementedError("the sampler knows adapters inside the network's layers, not learnt prompts")
        assert isinstance(inner, PreTrainedModel)
        self.model = inner
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
        self._check(prompts, sampling)
        keys = [tuple(prompt) for prompt in prompts]
        order = sorted(range(len(keys)), key=lambda n: (len(keys[n]), keys[n]))  # equal prompts, and equal lengths, side by side
        sampled: list[Sampled | None] = [None] * len(keys)
        whole = self.dtype is None and steps.takes(self.model)
        with torch.inference_mode(), attending(self.model), nullcontext() if whole else packed(self.model), self._autocast():
            self._words, self._step = self._matrix(), steps.Steps(self.model) if whole else self._forward
            for start in range(0, len(order), self.rows):
                chosen = order[start : start + self.rows]
                numbers_BT = np.stack([uniforms(sampling.max_tokens, *addresses[n]) for n in chosen])
                written = self._write([keys[n] for n in chosen], torch.from_numpy(numbers_BT), sampling, progress)
                for n, response in zip(chosen, written, strict=True):
                    sampled[n] = response
        return [response for response in sampled if response is not None]

    def _write(
        self, prompts: list[tuple[int, ...]], numbers_BT: Tensor, sampling: Sampling, progress: Callable[[int], None] | None
    ) -> list[Sampled]:
        """All responses of one batch."""
        device = self.model.device
        read = slots.read if slots.takes(self.model) else partial(cache.read, device=device)
        kept, hidden_BD = read(prompts, sampling.max_tokens, self._forward)
        logits_BV = self._words(hidden_BD)
        numbers_BT = numbers_BT.to(device)
        ids_BT = torch.zeros(numbers_BT.shape, dtype=torch.long, device=device)
        logp_BT = torch.zeros(numbers_BT.shape, dtype=torch.promote_types(logits_BV.dtype, torch.float32), device=device)
        length_B = torch.full((len(prompts),), sampling.max_tokens, device=device)
        finished_B = torch.zeros(len(prompts), dtype=torch.bool, device=device)
        live_B = torch.arange(len(prompts), device=device)
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
            logits_BV = self._words(self._step(token_B[:, None], kept.advance(), kept)[:, -1])
        if not bool(logp_BT.isfinite().all()):
            raise FloatingPointError("the model gives log-probabilities that are no finite numbers: its weights have diverged")
        ids, logp, finished = ids_BT.tolist(), logp_BT.tolist(), finished_B.tolist()
        return [Sampled(tuple(ids[b][:n]), tuple(logp[b][:n]), finished[b]) for b, n in enumerate(length_B.tolist())]

    def _forward(self, ids_BQ: Tensor, position_BQ: Tensor, kept: Cache) -> Tensor:
        """[B, Q, D] last hidden states."""
        out = self.model.base_model(input_ids=ids_BQ, position_ids=position_BQ, decoding=kept, use_cache=False)
        return out.last_hidden_state

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

    def _check(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> None:
        context = getattr(self.model.config, "max_position_embeddings", None)
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
