"""Where a fine-tuning step goes:  python -m benchmarks.where [11m|60m] [--publish]

Shares of the time on the processor as torch's profiler sees it, over a few steps of the comparison with TRL (benchmarks/peers): what is
matrix products, ours, the optimizer's, and the rest. The profiler itself slows small operations.
"""

import sys

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.peers import ours, shapes
from benchmarks.peers.__main__ import PAGE
from benchmarks.publish import replace
from tutelage.data.pieces import Packing
from tutelage.data.tree import Tree
from tutelage.objectives.sft import SFT

STEPS, WARM = 4, 3
PARTS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "gradients of weights": ("_LinearsBackward",),
    "norms, gates, angles": ("_Norm", "_NormBackward", "_Gated", "_GatedBackward", "_Rotary", "_RotaryBackward"),
    "attention, forward": ("_Attend",),
    "attention, backward": ("_AttendBackward",),
    "likelihood without its products": ("_TotalNLL",),
    "AdamW": ("aten::_fused_adamw_",),
    "copies and casts": ("aten::copy_",),
    "fills": ("aten::fill_", "aten::zero_"),
}


def main() -> None:
    size = next((argument for argument in sys.argv[1:] if argument in shapes.SIZES), "11m")
    trees = tuple(Tree(tuple(prompt), (tuple(response),)) for prompt, response in shapes.fine_tuning(shapes.SFT_ROWS, 0))
    packing, engine = Packing(trees, ours.STEP), ours.learner(size, SFT())
    for step in range(WARM):
        engine.step(packing.at(step), step, 100)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for step in range(STEPS):
            engine.step(packing.at(step), step, 100)
    spent = {event.key: event.self_cpu_time_total / 1000 / STEPS for event in seen.key_averages()}
    whole = sum(spent.values())
    parts = {part: sum(spent.get(name, 0.0) for name in names) for part, names in PARTS.items()}
    parts["everything else"] = whole - sum(parts.values())
    tokens = sum(tree.length for step in range(STEPS) for tree in packing.at(step)) / STEPS
    rows = [f"| {part} | {ms:.0f} | {ms / whole:.0%} |" for part, ms in [*parts.items(), ("whole step", whole)]]
    title = f"{size}, {tokens:,.0f} tokens a step, {torch.get_num_threads()} threads"
    told = "\n".join([title, "", "| part | ms | share |", "| --- | --- | --- |", *rows])
    print(told)
    if "--publish" in sys.argv:
        replace("where", told, PAGE)


if __name__ == "__main__":
    main()
