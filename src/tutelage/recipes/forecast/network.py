"""What a stage costs by arithmetic: the shape of its network, the bytes it needs and the operations of a token.

    training   6 N operations per token (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), reading 2 N; sampling, a word at a time,
               is as slow as training. Each role that reads or trains counts.
    memory     4 bytes per weight of each role (fewer where adapter.base is nf4 or int8), 12 more per trained weight (gradient and Adam's
               two moments), activations; of a process, where weights are shared out among several (recipes/fitted.py)

N weights.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tutelage.engine.ranks import ranks
from tutelage.models.config import HIDDEN, LAYERS, WIDTH, WORDS, number_in
from tutelage.models.device import chosen
from tutelage.recipes.decisions import Decisions
from tutelage.recipes.recipe import Step
from tutelage.recipes.sources import Model

SHARE, OF_TILES = 0.3, 0.1
"""Of the speed of large matrices, what training of small models reaches; less where units made for large ones (AMX, a GPU's) do them."""
RUNTIME = 0.65 * 2**30
"""Bytes of Python and torch themselves."""
MICRO_TOKENS = 4096
BITS = {"nf4": 4.127, "int8": 8.0}
"""A weight's, where adapter.base names its kind, scales included (models/quantized.py)."""
REINFORCED = {"ppo": (4, 2), "grpo": (3, 1)}
"""Traversals of a reading, and how many of them are trained; one less of both where PPO's value is a head on the policy's."""


@dataclass(frozen=True)
class Network:
    """As much of a model's shape as its cost needs."""

    width: int
    layers: int
    ffn: int
    vocabulary: int

    @property
    def parameters(self) -> int:
        """Four attention matrices and three of the feed-forward layer in each layer; embeddings once."""
        return self.layers * (4 * self.width**2 + 3 * self.width * self.ffn) + self.vocabulary * self.width


def operations(step: Step) -> int:
    """Per parameter and token that is counted."""
    if step.method in REINFORCED:  # sampled, read by every role, trained in one or two
        roles, trained = traversals(step)
        return 6 + roles * 2 + trained * 6
    if step.objective is not None:  # trained, and read by the reference
        return 6 + 2
    return 4 if step.stage.produces == "report" else 6


def traversals(step: Step) -> tuple[int, int]:
    """Of a stage that reinforces: how many networks read, and train."""
    shared = int(step.settings.get("value") == "shared")
    roles, trained = REINFORCED[step.method]
    return roles - shared, trained - shared


def shares(shard: str, together: int) -> int:
    """Among how many of the processes `together` a stage's weights would be shared out where they don't fit otherwise."""
    return together if together > 1 and (shard == "always" or (shard == "auto" and chosen() == "cuda")) else 1


def memory_of(
    step: Step, network: Network, machine: Mapping[str, Any] = MappingProxyType({}), lora: bool | None = None, bits: float | None = None
) -> float:
    """Peak bytes of a stage in one process; with other settings of `machine` (among them `processes`: of how many it is one, if not those
    that are here), an adapter, or other bits below that, where they are given."""
    trains = step.stage.produces in ("model", "reward")
    roles, trained = traversals(step) if step.method in REINFORCED else (networks(step), int(trains))
    adapted = bool(step.settings.get("adapter")) if lora is None else lora
    asked = {**asked_of(step), **machine}
    weights = base_bytes(network, bits or bits_of(step)) * roles
    training = (4.0 if asked.get("offload") else 12.0) * network.parameters * (0.02 if adapted else 1.0) * trained
    layer = 20 * network.width + 4 * network.ffn
    kept = network.layers * network.width + layer if asked.get("recompute") else network.layers * layer
    activations = 4.0 * asked.get("micro_tokens", MICRO_TOKENS) * kept * (1.0 if trains else 0.1)
    return RUNTIME + (weights + training) / shares(asked.get("shard", "never"), asked.get("processes") or ranks().size) + activations


def bits_of(step: Step) -> float:
    """Of a weight in the layers below a stage's adapter."""
    adapter = step.settings.get("adapter")
    return BITS.get(str(adapter.get("base")), 32.0) if isinstance(adapter, dict) else 32.0


def base_bytes(network: Network, bits: float) -> float:
    """Of the weights that one role reads; vectors of words are never kept in fewer than 32."""
    words = network.vocabulary * network.width
    return 4.0 * words + bits / 8 * (network.parameters - words)


def networks(step: Step) -> int:
    """How many a stage holds that doesn't reinforce. A reference of which only log-probabilities are wanted is none of its own."""
    if step.objective is not None:
        return 1 + any(need.endswith("@reference") and need != "logp@reference" for need in step.objective.needs)
    return {"pretrain": 1, "sft": 1, "reward": 1, "label": 1}.get(step.method, 2)


def asked_of(step: Step) -> dict[str, Any]:
    """What a stage says of the machine; nothing where it doesn't train."""
    machine = step.settings.get("machine")
    return machine if isinstance(machine, dict) else {}


def network_of(model: Model) -> Network | None:
    """From the size of a new model or a folder's config.json; None for a model that is not on this machine yet."""
    if model.new:
        return new_network(model.new.new)
    if model.path is None:
        return None
    width, layers, hidden, vocabulary = (number_in(model.path, *size) for size in (WIDTH, LAYERS, HIDDEN, WORDS))
    return Network(width, layers, hidden or 4 * width, vocabulary or 0) if width and layers else None


def new_network(size: str) -> Network:
    """Of a size by name, with the built-in world's 1,024 words."""
    from tutelage.models.create import SIZES

    dimensions = SIZES[size]
    return Network(dimensions.width, dimensions.layers, dimensions.hidden, 1024)


def training_speed(chosen: Decisions) -> float:
    """Operations per second that training may reach here."""
    from tutelage.models.kernels.build import units

    tiles = chosen.dtype == "bfloat16" and (chosen.device == "cuda" or units() == "AMX")
    return (OF_TILES if tiles else SHARE) * operations_per_second(chosen)


def operations_per_second(chosen: Decisions) -> float:
    """Floating-point operations of large matrices as this run multiplies them, measured for a fifth of a second."""
    import torch

    from tutelage.models.device import finished, here

    torch.set_num_threads(chosen.threads)
    device, side = here(chosen.device), 4096 if chosen.device == "cuda" else 512
    a = torch.ones((side, side), dtype=torch.bfloat16 if chosen.dtype == "bfloat16" else torch.float32, device=device)
    float((a @ a).sum())  # the first call sets threads up
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < 0.2:
        torch.mm(a, a)
        finished(device)
        done += 1
    return done * 2 * side**3 / (time.perf_counter() - began)
