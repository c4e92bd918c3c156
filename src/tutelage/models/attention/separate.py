"""Every path of a stream as a row of its own: for models whose attention can't read trees, and as the check of those whose can.

A shared prompt is read once for each of its leaves, so this is slower; the numbers are those of the packed stream. Rows are padded on the
right: a causal token knows nothing of what comes after it, so they need no mask, and positions count from 0 as models do by themselves.

T tokens of the stream, B paths (leaves), L tokens of the longest, D width.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from tutelage.data.batch import PackedBatch
from tutelage.models.attention.plan import Plan

SEPARATE = "separate"


@dataclass(frozen=True)
class Paths:
    """from_BL: the token of the stream that stands in each row's column, filled_BL where there is one. place_T: where each token of the
    stream stands in the rows laid end to end; one above several leaves is taken from the first of its paths: the others hold the same
    numbers."""

    from_BL: Tensor
    filled_BL: Tensor
    place_T: Tensor

    def to(self, device: torch.device) -> "Paths":
        return Paths(*(x.to(device, non_blocking=True) for x in (self.from_BL, self.filled_BL, self.place_T)))


def paths(batch: PackedBatch, plan: Plan) -> Paths:
    """The root-to-leaf paths of a stream."""
    parents = set(batch.parent_S.tolist())
    rows = [
        torch.cat([torch.arange(plan.starts[a], plan.starts[a + 1]) for a in lineage])
        for s, lineage in enumerate(plan.lineages)
        if s not in parents
    ]
    longest = max(map(len, rows))
    from_BL = torch.zeros(len(rows), longest, dtype=torch.long)
    filled_BL = torch.zeros(len(rows), longest, dtype=torch.bool)
    place_T = torch.empty(len(batch.tokens_T), dtype=torch.long)
    for b, places in reversed(list(enumerate(rows))):  # so that the first path has the last word
        from_BL[b, : len(places)], filled_BL[b, : len(places)] = places, True
        place_T[places] = b * longest + torch.arange(len(places))
    return Paths(from_BL, filled_BL, place_T)


def read_separately(model: PreTrainedModel, batch: PackedBatch, plan: Plan, past: Callable[[int], Cache] | None = None) -> Tensor:
    """[T, D] the last hidden states at the stream's tokens. `past` gives what stands before every one of so many rows (a prefix)."""
    padding = int(model.config.pad_token_id == 0)  # any id but the pad's, which transformers would warn of where there is no mask
    device = batch.tokens_T.device
    made: Paths = plan.kept((SEPARATE, device), lambda: paths(batch, plan).to(device))
    ids_BL = batch.tokens_T[made.from_BL].where(made.filled_BL, padding)
    before = {} if past is None else {"past_key_values": past(len(ids_BL))}
    told = model.base_model(input_ids=ids_BL, use_cache=False, **before)
    return told.last_hidden_state.flatten(0, 1)[made.place_T]
