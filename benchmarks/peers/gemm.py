"""What the machine's matrix units give: bfloat16 products of 2048 x 2048."""

import statistics
import time

import torch

SIDE, PRODUCTS, ROUNDS = 2048, 20, 5


def gemm() -> float:
    """FLOP/s, the median of a few rounds."""
    a, b = (torch.randn(SIDE, SIDE, dtype=torch.bfloat16) for _ in range(2))
    rates: list[float] = []
    for round_ in range(ROUNDS + 1):
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            a @ b
        if round_:  # the first one finds its kernel
            rates.append(PRODUCTS * 2 * SIDE**3 / (time.perf_counter() - start))
    return statistics.median(rates)
