"""Settings with which a stage takes less memory: what a plan that doesn't fit offers, and a stage that ran out.

bytes of the stage set otherwise = bytes known of it x arithmetic of it set otherwise / arithmetic of it as it is
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tutelage.engine.ranks import ranks
from tutelage.models.device import gpus
from tutelage.recipes.forecast.network import BITS, MICRO_TOKENS, Network, asked_of, memory_of, network_of, new_network
from tutelage.recipes.recipe import Recipe, Step

OFFERED = 3
SMALLER = {"small": ("tiny", "nano"), "tiny": ("nano",), "nano": ()}


def fitting(recipe: Recipe, step: Step, need: float, limit: float, processes: int = 0) -> list[str]:
    """Up to three settings, as the command line takes them, with each of which alone a stage that takes `need` bytes takes `limit` at
    most, in each of `processes` (0: those that are here)."""
    network = network_of(recipe.model)
    if network is None:
        return []
    known = need / memory_of(step, network, {"processes": processes})
    found: dict[str, str] = {}
    for way, setting, arithmetic in _ways(recipe, step, network, {"processes": processes}):
        if known * arithmetic <= limit:
            found.setdefault(way, setting)
    return list(found.values())[:OFFERED]


def _ways(recipe: Recipe, step: Step, network: Network, here: Mapping[str, int]) -> Iterator[tuple[str, str, float]]:
    """(what is changed, the setting, bytes by arithmetic), what costs least first."""
    stage, has, adapter = f"stages.{step.name}", step.settings, step.settings.get("adapter")

    def bytes_(**machine: Any) -> float:
        return memory_of(step, network, {**here, **machine})

    if "machine" in has:
        for n in (2048, 1024, 512, 256):
            if n < asked_of(step).get("micro_tokens", MICRO_TOKENS):
                yield "micro", f"{stage}.machine.micro_tokens={n}", bytes_(micro_tokens=n)
        yield "recompute", f"{stage}.machine.recompute=true", bytes_(recompute=True)
        if (here["processes"] or ranks().size) < gpus():
            yield "shared", f"torchrun --standalone --nproc-per-node {gpus()}", bytes_(processes=gpus())
    if "adapter" in has:
        four = f"{stage}.adapter.base=nf4" if adapter else f"{stage}.adapter={{base: nf4}}"
        yield "adapter", f"{stage}.adapter={{}}", memory_of(step, network, here, lora=True)
        yield "adapter", four, memory_of(step, network, here, lora=True, bits=BITS["nf4"])
    if "machine" in has:
        yield "offload", f"{stage}.machine.offload=true", bytes_(offload=True)
    for size in SMALLER[recipe.model.new.new] if recipe.model.new else ():
        yield size, f"model.new={size}", memory_of(step, new_network(size), here)
