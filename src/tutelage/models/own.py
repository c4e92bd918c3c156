"""How a model writes by its own modules and with what it keeps itself: for those that models/decoding.py can't serve.

All prompts of a batch are equally long here, so nothing is padded, and no family's idea of padding matters. `OwnCache` keeps what the model
hands back (`past_key_values`: keys, values, states of recurrences); `Anew` keeps only the ids, and every step reads the whole rows again,
for models that keep nothing.

B rows, Q tokens of this call, L tokens of a row so far, G distinct prompts, D width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from tutelage.models.attention import SEPARATE
from tutelage.models.decoding import Prompt, evaluating
from tutelage.models.readable import use


class OwnCache:
    """Rows as transformers keeps them. `past` stands before all of them (a learnt prefix), for as many rows as are read first."""

    def __init__(self, model: PreTrainedModel, past: Cache | None) -> None:
        self.model = model
        self.past: Any = past

    def read(self, ids_BQ: Tensor) -> Tensor:
        """[B, D] the hidden states after the next tokens of every row."""
        out = self.model.base_model(input_ids=ids_BQ, past_key_values=self.past, use_cache=True)
        self.past = out.get("past_key_values")
        return out.last_hidden_state[:, -1]

    def take(self, row_B: Tensor) -> None:
        """Go on with these rows."""
        if self.past is not None:
            self.past.reorder_cache(row_B)


class Anew:
    """Rows by their ids alone."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.ids_BL: Tensor | None = None

    def read(self, ids_BQ: Tensor) -> Tensor:
        """[B, D] the hidden states after the next tokens of every row."""
        self.ids_BL = ids_BQ if self.ids_BL is None else torch.cat([self.ids_BL, ids_BQ], 1)
        return self.model.base_model(input_ids=self.ids_BL, use_cache=False).last_hidden_state[:, -1]

    def take(self, row_B: Tensor) -> None:
        """Go on with these rows."""
        assert self.ids_BL is not None
        self.ids_BL = self.ids_BL[row_B]


class OwnRows:
    """Either of them as `decoding.Rows`."""

    def __init__(self, kept: OwnCache | Anew, length: int) -> None:
        self.kept, self.length = kept, length

    def advance(self) -> Tensor:
        """The model counts positions by itself; this is only what it counts."""
        self.length += 1
        return torch.tensor([[self.length - 1]])

    def keep(self, keep_B: Tensor) -> Tensor:
        order_B = keep_B.nonzero()[:, 0]
        self.kept.take(order_B)
        return order_B


def read(prompts: Sequence[Prompt], begin: Callable[[int], OwnCache | Anew], device: torch.device) -> tuple[OwnRows, Tensor]:
    """Prompts of one length, each distinct one read once: the rows, and the hidden states [B, D] that their first tokens are drawn
    from. `begin` gives a cache for so many rows."""
    distinct = list(dict.fromkeys(prompts))
    place = {prompt: g for g, prompt in enumerate(distinct)}
    row_B = torch.tensor([place[prompt] for prompt in prompts], device=device)
    kept = begin(len(distinct))
    hidden_GD = kept.read(torch.tensor(distinct, device=device))
    kept.take(row_B)
    return OwnRows(kept, len(prompts[0])), hidden_GD[row_B]


def step(ids_B1: Tensor, position_B1: Tensor, rows: OwnRows) -> Tensor:
    """[B, 1, D] the hidden states after one more token of every row."""
    return rows.kept.read(ids_B1)[:, None]


@contextmanager
def by_itself(model: PreTrainedModel) -> Iterator[None]:
    """Within, `model` computes attention as it does by itself, and is in evaluation mode; afterwards as before."""
    before = model.config._attn_implementation
    with evaluating(model):
        use(model, SEPARATE)
        try:
            yield
        finally:
            if model.config._attn_implementation != before:
                model.set_attn_implementation(before or "eager")
