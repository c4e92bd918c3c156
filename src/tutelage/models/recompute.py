"""Activations made again in the backward pass, layer by layer (Chen et al. 2016, arXiv 1604.06174): a layer keeps its input alone.

The layer's second forward pass runs the operations of the first on the same numbers, without dropout, so the gradient is the same to the
bit on a processor; it costs one more forward pass of the layers. Heads have their own way of keeping little (heads.py, likelihood.py).
"""

import copy
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tutelage.core.errors import UserError
from tutelage.models.roles import causal


def layers(network: nn.Module) -> list[nn.Module]:
    """The decoder's layers, in order; empty where they stand in no list of their own."""
    inner = causal(network)
    count = inner.config.get_text_config().num_hidden_layers
    found = [module for module in inner.base_model.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    return list(found[0]) if found else []


def recompute(network: nn.Module) -> None:
    """Let each layer of `network` keep its input alone. Nothing happens the second time. UserError for a network that has no list of
    layers."""
    own = layers(network)
    if not own:
        name = type(causal(network)).__name__
        raise UserError(f"machine.recompute: {name} has no list of layers that could be made again one by one; set it to false")
    for layer in own:
        if not isinstance(vars(layer).get("forward"), partial):
            layer.forward = partial(_again, layer.forward)


def keep(network: nn.Module) -> None:
    """Layers keep what they compute again."""
    for layer in layers(network):
        if isinstance(vars(layer).get("forward"), partial):
            del layer.forward


def _again(forward: Any, *given: Any, **told: Any) -> Any:
    if torch.is_grad_enabled():
        return checkpoint(lambda: forward(*given, **_fresh(told)), use_reentrant=False, preserve_rng_state=False)
    same = {**told}  # its cache too, which a sampler writes to
    return forward(*given, **same)


def _fresh(told: dict[str, Any]) -> dict[str, Any]:
    """With a cache of its own: a layer adds its keys to the one it is given, and the second time would find those of the first."""
    past = told.get("past_key_values")
    if past is None:
        return told
    own = copy.copy(past)
    own.layers = [copy.copy(layer) for layer in past.layers]
    return {**told, "past_key_values": own}
