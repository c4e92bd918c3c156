"""How fast training steps are on this machine, beside what its matrix units allow:  python -m benchmarks.steps

Pre-training and fine-tuning steps of the `tiny` model on the built-in world, as the demo's stages make them. GEMM is the rate of one
bfloat16 product of 2048 x 2048, measured before and after; a run is worth nothing where the two differ by more than a fifth (another
process was busy). "share" is 6 x parameters x tokens / seconds, against it.
"""

import argparse
import time

import torch

from benchmarks.peers.gemm import gemm
from tutelage.data.pieces import Packing, cut
from tutelage.data.render import Renderer
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.rates import Rates
from tutelage.models import create, tokenizer
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.objectives.sft import SFT
from tutelage.recipes.decisions import decide
from tutelage.synthetic import demonstrations, text
from tutelage.synthetic.lexicon import vocabulary

CONTEXT, WARM = 256, 5


def trees(kind: str, tokens: int, render: Renderer) -> tuple[Tree, ...]:
    if kind == "pretrain":
        return tuple(piece for document in text.documents("train", tokens) for piece in cut(render.document(document), CONTEXT))
    return tuple(tree for row in demonstrations.demonstrations(tokens) for tree in render.demonstration(row))


def measure(kind: str, optimizer: str, step_tokens: int, steps: int) -> tuple[float, float, int]:
    """(seconds per step, tokens per second, parameters)"""
    words = tokenizer.words(vocabulary(), 1024)
    model = create.new("tiny", words, 0)
    packing = Packing(trees(kind, step_tokens * (steps + WARM + 20), Renderer(words, CONTEXT)), step_tokens)
    policy = Policy({"policy": Role(model, trains=True)}, words, decide().precision)
    engine = Engine(policy, SFT(), {"policy": Rates(optimizer=optimizer)})  # pyright: ignore[reportArgumentType]
    tokens = 0
    start = 0.0
    for step in range(WARM + steps):
        if step == WARM:
            start, tokens = time.perf_counter(), 0
        chosen = packing.at(step)
        tokens += sum(tree.length for tree in chosen)
        engine.step(chosen, step, WARM + steps)
    seconds = time.perf_counter() - start
    return seconds / steps, tokens / seconds, sum(p.numel() for p in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=40, help="timed steps of each kind")
    steps = parser.parse_args().steps
    torch.set_num_threads(decide().threads)
    before = gemm()
    for kind, optimizer, size in (("pretrain", "muon", 2048), ("pretrain", "adamw", 2048), ("sft", "adamw", 1024), ("sft", "adamw", 2048)):
        seconds, rate, parameters = measure(kind, optimizer, size, steps)
        share = 6 * parameters * rate / before
        print(f"{kind:8} {optimizer:5} {size} tokens a step: {seconds * 1000:4.0f} ms, {rate:6,.0f} tokens/s, share of GEMM {share:.1%}")
    print(f"GEMM {before / 1e9:,.0f} GFLOP/s before, {gemm() / 1e9:,.0f} after")


if __name__ == "__main__":
    main()
