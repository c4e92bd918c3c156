"""What the machine's matrix units give: bfloat16 products of 2048 x 2048 on a processor, of 8192 x 8192 on a GPU."""

import statistics
import time

import torch

from benchmarks.peers import shapes

PRODUCTS, ROUNDS = 20, 5


def gemm() -> float:
    """FLOP/s, the median of a few rounds."""
    device = shapes.device()
    side = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    rates: list[float] = []
    for round_ in range(ROUNDS + 1):
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            a @ b
        shapes.finished()
        if round_:  # the first one finds its kernel
            rates.append(PRODUCTS * 2 * side**3 / (time.perf_counter() - start))
    return statistics.median(rates)
