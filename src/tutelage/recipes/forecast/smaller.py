"""Settings with which a stage takes less memory: what a plan that doesn't fit offers, and a stage that ran out.

bytes of the stage set otherwise = bytes known of it x arithmetic of it set otherwise / arithmetic of it as it is
"""

from collections.abc import Iterator

from tutelage.recipes.forecast.network import BITS, MICRO_TOKENS, Network, asked_of, memory_of, network_of, new_network
from tutelage.recipes.recipe import Recipe, Step

OFFERED = 3
SMALLER = {"small": ("tiny", "nano"), "tiny": ("nano",), "nano": ()}


def fitting(recipe: Recipe, step: Step, need: float, limit: float) -> list[str]:
    """Up to three settings, as the command line takes them, with each of which alone a stage that takes `need` bytes takes `limit` at
    most."""
    network = network_of(recipe.model)
    if network is None:
        return []
    known = need / memory_of(step, network)
    found: dict[str, str] = {}
    for way, setting, arithmetic in _ways(recipe, step, network):
        if known * arithmetic <= limit:
            found.setdefault(way, setting)
    return list(found.values())[:OFFERED]


def _ways(recipe: Recipe, step: Step, network: Network) -> Iterator[tuple[str, str, float]]:
    """(what is changed, the setting, bytes by arithmetic), what costs least first."""
    stage, has, adapter = f"stages.{step.name}", step.settings, step.settings.get("adapter")
    if "machine" in has:
        for n in (2048, 1024, 512, 256):
            if n < asked_of(step).get("micro_tokens", MICRO_TOKENS):
                yield "micro", f"{stage}.machine.micro_tokens={n}", memory_of(step, network, {"micro_tokens": n})
        yield "recompute", f"{stage}.machine.recompute=true", memory_of(step, network, {"recompute": True})
    if "adapter" in has:
        four = f"{stage}.adapter.base=nf4" if adapter else f"{stage}.adapter={{base: nf4}}"
        yield "adapter", f"{stage}.adapter={{}}", memory_of(step, network, lora=True)
        yield "adapter", four, memory_of(step, network, lora=True, bits=BITS["nf4"])
    if "machine" in has:
        yield "offload", f"{stage}.machine.offload=true", memory_of(step, network, {"offload": True})
    for size in SMALLER[recipe.model.new.new] if recipe.model.new else ():
        yield size, f"model.new={size}", memory_of(step, new_network(size))
