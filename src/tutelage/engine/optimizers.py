"""Which parameter is stepped by what: AdamW, or Muon for the matrices inside a network.

AdamW (Loshchilov and Hutter, 1711.05101) decays matrices only. Words' vectors, gains, biases and scalar heads are no maps between
hidden states and always take AdamW.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from tutelage.engine.muon import Muon
from tutelage.engine.rates import Rates
from tutelage.models.shards import shape_of


def optimizers(
    parameters: Mapping[str, Sequence[nn.Parameter]], rates: Mapping[str, Rates], word_vectors: set[int]
) -> list[torch.optim.Optimizer]:
    """One or two optimizers over all roles; each parameter group knows its "role". `word_vectors`: ids of embedding matrices."""
    adamw: list[dict[str, Any]] = []
    muon: list[dict[str, Any]] = []
    for role, own in parameters.items():
        rate = rates[role]
        maps = [p for p in own if p.dim() == 2 and min(shape_of(p)) > 1 and id(p) not in word_vectors]
        inside = maps if rate.optimizer == "muon" else []
        chosen = {id(p) for p in inside}
        matrices = [p for p in own if p.dim() > 1 and id(p) not in chosen]
        vectors = [p for p in own if p.dim() <= 1]
        shared: dict[str, Any] = {"role": role, "lr": rate.learning_rate}
        adam = {**shared, "betas": (rate.beta1, rate.beta2), "eps": rate.epsilon}
        adamw += [{**adam, "params": matrices, "weight_decay": rate.weight_decay}, {**adam, "params": vectors, "weight_decay": 0.0}]
        muon += [{**shared, "params": inside, "weight_decay": rate.weight_decay}]
    made: list[torch.optim.Optimizer] = []
    if groups := [group for group in adamw if group["params"]]:
        made.append(torch.optim.AdamW(groups, fused=True))
    if groups := [group for group in muon if group["params"]]:
        made.append(Muon(groups))
    return made
