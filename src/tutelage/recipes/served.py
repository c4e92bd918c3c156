"""Rollouts by URL in a stage of reinforcement learning: what fits before anything runs, the speaker, and what is said of its sampler."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tutelage.core.errors import UserError
from tutelage.core.text import content_id
from tutelage.data.render import Renderer
from tutelage.engine.ranks import ranks
from tutelage.models import adapters
from tutelage.models.adapters import Adapter, Lora
from tutelage.models.policy import Policy
from tutelage.recipes.stage import Context
from tutelage.recipes.work import Work
from tutelage.rollouts.collect import Phase
from tutelage.rollouts.mismatch import sentence
from tutelage.rollouts.pushing import Adapters
from tutelage.rollouts.remote import ServerSpeaker
from tutelage.rollouts.server import Server


def check(server: Server, adapter: Adapter | None, updates: int, context: Context) -> None:
    """What a server can't do is the context's fault."""
    plain = isinstance(adapter, Lora) and not adapter.dora
    if server.push and not plain:
        raise context.fault(
            "sampler.push", "only a LoRA adapter (without dora) is given to a server; set adapter: {rank: 16}, or leave it out"
        )
    if not server.push and updates - 1 > server.stale:
        raise context.fault(
            "sampler.stale",
            f"without push the server would be {updates - 1} rounds behind in the last of {updates}, and {server.stale} are allowed; "
            "set sampler.push to a folder that a vLLM server sees too, with adapter: {rank: 16}",
        )
    try:
        server.secret()
    except UserError as missing:
        raise context.fault("sampler.key", str(missing)) from None


def speaker(work: Work, server: Server, policy: Policy, adapter: Adapter | None, render: Renderer) -> ServerSpeaker:
    """The server in the place of our sampler; said before anything leaves the machine."""
    role, rank = policy.roles["policy"], ranks().rank
    what = f" and, each {server.stale + 1} round(s), the adapter in {server.push}" if server.push else ""
    work.progress.note(f"{work.name}: {server.host} ({server.model}) writes the responses; it is sent the ids of the prompts{what}")

    def save(folder: Path) -> None:
        network: Any = role.network
        adapters.save(network, role.adapter or "", folder)

    name = f"tutelage-{work.name}-{content_id('pushed', str(work.dir.resolve()))[:8]}"
    pushing = Adapters(server, name, adapter.rank, save) if server.push and isinstance(adapter, Lora) else None
    kept, words = work.dir / f"sampled-{rank}.jsonl", len(render.tokenizer)
    return ServerSpeaker(server, render.end, words, render.spell, kept, pushing, rank == 0, ranks())


def watched(work: Work) -> Callable[[Phase], None]:
    """Says once where the server's sampler differs by more than rounding; figures of every round are in metrics.jsonl."""
    said: list[str] = []

    def listen(phase: Phase) -> None:
        what = sentence(phase.figures)
        if what and not said:
            said.append(what)
            work.progress.note(f"{work.name}: round {phase.number}: {what}")

    return listen
