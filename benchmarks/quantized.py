"""What a base in few bits costs in quality and saves in memory:  python -m benchmarks.quantized [60m|11m|FOLDER] [--steps 24] [--keep TO]

The same LoRA fine-tuning on the built-in world's demonstrations, from the same weights, over a base in bfloat16, in NF4 and in int8: nats
per token of demonstrations that nothing learns from, before and after, and bytes of the base. A size by name is first taught to read for
some steps (random weights have nothing to lose); a folder is a model as transformers saves it. And of what a stage would export: how far
its logits are from those of the network that was trained, merged into the numbers that the adapter was learnt on, or into the unquantized.
"""

import argparse
import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tutelage.data.pieces import Packing, cut
from tutelage.data.render import Renderer
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.rates import Rates
from tutelage.models import adapters, create, tokenizer, weights
from tutelage.models.adapters import Lora, merged, wrap
from tutelage.models.create import Dimensions
from tutelage.models.policy import Policy
from tutelage.models.quantized import Base, noted, quantize, quantized
from tutelage.models.roles import Role, causal
from tutelage.objectives.sft import SFT
from tutelage.recipes.decisions import decide
from tutelage.synthetic import demonstrations, text
from tutelage.synthetic.lexicon import vocabulary

SIZES = {"60m": Dimensions(768, 8, 12, ffn=2048, context=512), "11m": Dimensions(384, 6, 6, ffn=1024, context=512)}
VOCABULARY, STEP, HELD_OUT = 8192, 1024, 4096
BASES: tuple[Base, ...] = ("as_is", "nf4", "int8")


@dataclass(frozen=True)
class Measured:
    """Nats per held-out token before and after, the base's bytes as held, and all its weights times two bytes."""

    base: Base
    before: float
    after: float
    bytes: int
    bytes_bf16: int


@dataclass(frozen=True)
class Export:
    """Of one way to merge: |logits - trained logits| / |trained logits| after centering, and its nats per held-out token."""

    off: float
    nats: float


def begin(size: str, steps: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A folder's model, or a new one that has read for some steps; in bfloat16."""
    if size not in SIZES:
        model, words = weights.load(Path(size))
        return model.bfloat16(), words
    words = tokenizer.words(vocabulary(), VOCABULARY)
    model = create.new(SIZES[size], words, 0)
    documents = text.documents("train", STEP * (steps + 2))
    trees = tuple(piece for document in documents for piece in cut(Renderer(words, 256).document(document), 256))
    policy = Policy({"policy": Role(model, trains=True)}, words, decide().precision)
    _learn(policy, trees, steps, Rates(learning_rate=1e-3, optimizer="muon"))
    policy.finish()
    return model.bfloat16(), words


def measure(model: PreTrainedModel, words: PreTrainedTokenizerFast, base: Base, steps: int) -> tuple[Measured, Policy]:
    """One fine-tuning, and the policy as it was trained."""
    learnt, held_out = examples(words, steps)
    network = quantize(copy.deepcopy(model), base).float()
    policy = Policy(
        {"policy": Role(wrap(network, Lora(rank=16, base=base), "policy", 0), "policy", trains=True)}, words, decide().precision
    )
    before = nats(policy, held_out)
    own = [p for name, p in policy.roles["policy"].network.named_parameters() if ".lora_" not in name]
    told = noted(policy.roles["policy"].network) or {
        "base_bytes": sum(p.nbytes for p in own),
        "base_bytes_bf16": 2 * sum(p.numel() for p in own),
    }
    _learn(policy, learnt, steps, Rates(learning_rate=1e-3))
    return Measured(base, before, nats(policy, held_out), told["base_bytes"], told["base_bytes_bf16"]), policy


def examples(words: PreTrainedTokenizerFast, steps: int) -> tuple[tuple[Tree, ...], list[Tree]]:
    """Demonstrations to learn from, and others."""
    rows = demonstrations.demonstrations(STEP * (steps + 2) + HELD_OUT)
    trees = [tree for row in rows for tree in Renderer(words, 512).demonstration(row)]
    held_out: list[Tree] = []
    while sum(tree.length for tree in held_out) < HELD_OUT:
        held_out.append(trees.pop())
    return tuple(trees), held_out


def nats(policy: Policy, trees: Sequence[Tree]) -> float:
    """Per trained token."""
    batch = SFT().collate(trees)
    with torch.no_grad():
        return float(policy.read(batch, ("nll",))["nll"]) / batch.counts["nll"]


def exports(model: PreTrainedModel, words: PreTrainedTokenizerFast, policy: Policy, held_out: list[Tree]) -> dict[str, Export]:
    """Of a policy over a quantized base: merged into what it was learnt on, and into the weights that were quantized; both in bfloat16."""
    policy.finish()
    network: Any = policy.roles["policy"].network
    with tempfile.TemporaryDirectory() as folder:
        adapters.save(network, "policy", Path(folder))
        on_original = adapters.load(copy.deepcopy(model).float(), Path(folder), "policy")
    ways = {"trained": network, "merged into what it was learnt on": merged(network, "policy")}
    ways["merged into the unquantized weights"] = merged(on_original, "policy").bfloat16()
    right = _logits(network, held_out)
    found: dict[str, Export] = {}
    for name, made in ways.items():
        role = Role(made, "policy" if made is network else None)
        plain = role if role.adapter else Role(made.float())
        off = float((_logits(plain.network, held_out) - right).norm() / right.norm())
        found[name] = Export(off, nats(Policy({"policy": plain}, words), held_out))
    return found


@torch.no_grad()
def _logits(network: Any, trees: Sequence[Tree]) -> torch.Tensor:
    """Of the first texts, by transformers' own attention, a softmax's constant taken out."""
    causal(network).set_attn_implementation("eager")
    rows = [network(torch.tensor([[*tree.prompt, *tree.responses[0]]])).logits[0].float() for tree in trees[:4]]
    found = torch.cat(rows)
    return found - found.mean(-1, keepdim=True)


def _learn(policy: Policy, trees: tuple[Tree, ...], steps: int, rates: Rates) -> None:
    packing, engine = Packing(trees, STEP), Engine(policy, SFT(), {"policy": rates})
    for step in range(steps):
        engine.step(packing.at(step), step, steps)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantized", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default="60m", help=f"{', '.join(SIZES)}, or a folder")
    parser.add_argument("--steps", type=int, default=24, help="optimizer steps of fine-tuning, and of reading before it")
    parser.add_argument("--bases", nargs="+", choices=BASES, default=BASES, help="what the base is kept in, one after another")
    parser.add_argument("--keep", type=Path, help="only teach a size by name to read, and save it here")
    asked = parser.parse_args()
    torch.set_num_threads(decide().threads)
    model, words = begin(asked.model, asked.steps)
    if asked.keep:
        return weights.save(model, words, asked.keep)
    print(
        f"{asked.model}, {sum(p.numel() for p in model.parameters()):,} parameters, computed in {decide().precision}, {asked.steps} steps\n"
    )
    print("| base | nats before | after | beside as_is | bytes | beside bfloat16 |\n| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    plain = 0.0
    for base in asked.bases:
        told, policy = measure(model, words, base, asked.steps)
        plain = told.after if base == "as_is" else plain
        beside = f"{told.after / plain - 1:+.2%}" if plain else "?"
        print(
            f"| {base} | {told.before:.4f} | {told.after:.4f} | {beside} | {told.bytes:,} | {told.bytes / told.bytes_bf16:.3f} |",
            flush=True,
        )
        if quantized(policy.roles["policy"].network):
            for name, export in exports(model, words, policy, examples(words, asked.steps)[1]).items():
                print(f"  {base}, {name}: logits off by {export.off:.2%}, {export.nats:.4f} nats", flush=True)


if __name__ == "__main__":
    main()
