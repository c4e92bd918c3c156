"""How a stage is made to fit this machine: whether its weights are shared out, and what `machine` asks for beside.

    whole = 4 bytes a weight of every network + 12 a trained one (gradient, Adam's two moments) + 4 T L (20 D + 4 F) of activations

as in recipes/plan.py, of the networks that are there; with `recompute` a layer keeps T D, and one layer at a time the rest.

T tokens of a micro-batch, L layers, D width, F width of the feed-forward layers.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from torch import nn

from tutelage.engine.ranks import ranks
from tutelage.models.device import free_bytes, here
from tutelage.models.policy import Fit
from tutelage.models.roles import Role, causal
from tutelage.recipes.work import Work

SHARE = 0.9
"""Of a GPU's free memory that may be planned for."""


class Asked(Protocol):
    """What `machine` says of it (recipes/training.py)."""

    @property
    def micro_tokens(self) -> int: ...
    @property
    def shard(self) -> Literal["auto", "never", "always"]: ...
    @property
    def recompute(self) -> bool: ...
    @property
    def offload(self) -> bool: ...


def fitted(work: Work, asked: Asked, roles: Mapping[str, Role]) -> Fit:
    """The decision for a stage of these roles, the same in every process; said where weights are shared out or something costs time."""
    shard, why = _shards(work, asked, roles)
    if shard:
        work.progress.note(f"{work.name}: weights are shared out among {ranks().size} processes ({why})")
    elif asked.shard == "always":
        work.progress.note(f"{work.name}: weights stay whole, there is one process (machine.shard: always)")
    return Fit(shard, asked.recompute, asked.offload, here(work.decisions.device) if shard else None)


def _shards(work: Work, asked: Asked, roles: Mapping[str, Role]) -> tuple[bool, str]:
    together = ranks()
    if together.size == 1 or asked.shard == "never":
        return False, ""
    if asked.shard == "always":
        return True, "machine.shard: always"
    if work.decisions.device != "cuda":
        return False, ""
    free, whole = min(together.gather([free_bytes()])), estimate(asked, roles)
    return whole > SHARE * free, f"whole they would take about {whole / 2**30:.1f} GiB, and a GPU has {free / 2**30:.1f} free"


def estimate(asked: Asked, roles: Mapping[str, Role]) -> float:
    """Bytes of a stage in a process that holds everything whole."""
    networks = {id(role.network): role.network for role in roles.values()}.values()
    weights = sum((4.0 if p.is_floating_point() else 1.0) * p.numel() for network in networks for p in network.parameters())
    trained = sum(p.numel() for p in {id(p): p for role in roles.values() if role.trains for p in role.parameters()}.values())
    return weights + (4.0 if asked.offload else 12.0) * trained + max(_activations(asked, network) for network in networks)


def _activations(asked: Asked, network: nn.Module) -> float:
    config = causal(network).config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    layer = 20 * width + 4 * (getattr(config, "intermediate_size", None) or 4 * width)
    return 4.0 * asked.micro_tokens * (layers * width + layer if asked.recompute else layers * layer)
