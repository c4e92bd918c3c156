"""A role is (network, adapter, head): the policy, its frozen reference, a value model, a reward model.

Roles may share one network and differ by adapter and head alone; `active` switches the adapter for one traversal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from tutelage.models.heads import ScalarHead, Words


@dataclass
class Role:
    """`adapter` None on an adapted network means: the bare base. `trains` says whether gradients are kept."""

    network: nn.Module
    adapter: str | None = None
    head: ScalarHead | None = None
    trains: bool = False

    @property
    def traversal(self) -> tuple[int, str | None]:
        """Which hidden states it reads: roles for which this is equal differ in their heads alone."""
        return id(self.network), self.adapter

    def parameters(self) -> list[nn.Parameter]:
        """What this role trains: its adapter where it has one, otherwise the whole network; and its head."""
        inner = causal(self.network)
        if self.adapter is not None:
            own = [p for name, p in self.network.named_parameters() if f".{self.adapter}." in name or name.endswith(f".{self.adapter}")]
        elif self.head is not None:  # a head reads hidden states: the words' own output matrix gets no gradient
            own = list(inner.base_model.parameters())
        else:
            own = list(inner.parameters())
        return own + (list(self.head.parameters()) if self.head is not None else [])


def causal(network: nn.Module) -> PreTrainedModel:
    """The transformers model inside, without peft's wrapping."""
    inner = network.get_base_model() if isinstance(network, PeftModel) else network
    assert isinstance(inner, PreTrainedModel)
    return inner


def width(network: nn.Module) -> int:
    """Of the hidden states."""
    embeddings = causal(network).get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    return embeddings.embedding_dim


def words(network: nn.Module) -> Words:
    """The map from hidden states to logits, with the scale and the soft cap of the model's configuration, by the names that families give
    them (Cohere, Falcon H1, Granite; Gemma, RecurrentGemma). That it is the whole map is tried (readable.py)."""
    inner = causal(network)
    output = inner.get_output_embeddings()
    assert isinstance(output, nn.Module)

    def told(*names: str) -> float | None:
        return next((value for name in names if (value := getattr(inner.config, name, None))), None)

    scale = told("logit_scale", "lm_head_multiplier") or 1 / (told("logits_scaling") or 1)
    return Words(output, scale, told("final_logit_softcapping", "logits_soft_cap"))


def place(role: Role, device: torch.device) -> Role:
    """Bring a role's network and head to `device`. Returns it."""
    if next(role.network.parameters()).device != device:
        role.network.to(device)
    if role.head is not None:
        role.head.to(device)
    return role


@contextmanager
def active(role: Role) -> Iterator[None]:
    """Within, the role's network computes with the role's adapter (or bare)."""
    if not isinstance(role.network, PeftModel):
        yield
        return
    # peft freezes and thaws adapters as it switches; which parameters train is the policy's decision alone.
    wanted = [(p, p.requires_grad) for p in role.network.parameters()]
    if role.adapter is None:
        with role.network.disable_adapter():
            _restore(wanted)
            yield
    else:
        role.network.set_adapter(role.adapter)
        _restore(wanted)
        yield
    _restore(wanted)


def _restore(wanted: list[tuple[nn.Parameter, bool]]) -> None:
    for p, needs in wanted:
        p.requires_grad_(needs)
