"""What matrix products and memory give at the models' own shapes:  python -m benchmarks.products [--publish]

A linear layer's three products at 2,176 tokens: forward, the gradient of its input, the gradient of its weight, that by torch and by our
kernel. The product that makes gradients of hidden states under the words' matrix, for chunks of several sizes. And how fast numbers are
written and copied while they fit the processor's caches, and when they don't.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.peers import ours, shapes
from benchmarks.peers.__main__ import PAGE
from benchmarks.publish import replace
from tutelage.models.fused.functions import weight_gradient
from tutelage.models.kernels.build import library

TOKENS, ROUNDS, WARM = 2176, 40, 5
MEGABYTES = (12, 64, 256)
CHUNKS = (384, 512, 1408)


def seconds(work: Callable[[], object]) -> float:
    """The median of some rounds."""
    taken: list[float] = []
    for round_ in range(WARM + ROUNDS):
        start = time.perf_counter()
        work()
        if round_ >= WARM:
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def products(columns: int, outputs: int) -> list[float]:
    """GFLOP/s of the four."""
    x, w, g = (torch.randn(*shape).bfloat16() for shape in ((TOKENS, columns), (outputs, columns), (TOKENS, outputs)))
    to = torch.zeros(outputs, columns)
    works: list[Callable[[], object]] = [lambda: x @ w.t(), lambda: g @ w, lambda: g.t() @ x]
    if library() is not None:
        works.append(lambda: weight_gradient(to, g, x, False))
    return [2 * TOKENS * columns * outputs / seconds(work) / 1e9 for work in works]


def chunk(rows: int) -> float:
    """GFLOP/s of so many rows' gradients by the 11m model's matrix of words."""
    width = shapes.SIZES["11m"]["hidden_size"]
    slopes, words = torch.randn(rows, shapes.VOCABULARY).bfloat16(), torch.randn(shapes.VOCABULARY, width).bfloat16()
    return 2 * rows * shapes.VOCABULARY * width / seconds(lambda: slopes @ words) / 1e9


def memory(megabytes: int) -> tuple[float, float]:
    """GB/s written, and read and written."""
    x = torch.zeros(megabytes << 18)
    y = torch.zeros_like(x)
    return megabytes / 1e3 / seconds(x.zero_), 2 * megabytes / 1e3 / seconds(lambda: y.copy_(x))


def main() -> None:
    ours.threads()
    lines = ["| layer | forward | its input's gradient | its weight's, torch | ours |", "| --- | ---: | ---: | ---: | ---: |"]
    for size in ("11m", "60m"):
        width, hidden = shapes.SIZES[size]["hidden_size"], shapes.SIZES[size]["intermediate_size"]
        for columns, outputs in ((width, width), (width, hidden), (hidden, width)):
            cells = " | ".join(f"{rate:,.0f}" for rate in products(columns, outputs))
            lines.append(f"| {size}: {columns:,} to {outputs:,} | {cells} |")
    lines += [
        "",
        f"{shapes.VOCABULARY:,} slopes a row by the matrix of words, 11m: "
        + "; ".join(f"{n:,} rows {chunk(n):,.0f}" for n in CHUNKS)
        + " GFLOP/s.",
        "",
        "GFLOP/s. Memory: " + "; ".join("{} MB {:.0f} GB/s written, {:.0f} copied".format(m, *memory(m)) for m in MEGABYTES) + ".",
    ]
    told = "\n".join(lines)
    print(told)
    if "--publish" in sys.argv:
        replace("products", told, PAGE)


if __name__ == "__main__":
    main()
