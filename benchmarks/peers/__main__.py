"""Tutelage beside its peers, in one run:  python -m benchmarks.peers [--work sft] [--size 11m,60m] [--repeats 5] [--publish]

Each side is a process in an environment of its own (the peers' are made below build/peers at the first call). Sides take turns on the same
rows, one at a time. GEMM is measured before each turn and after the last; nothing is reported where it changed by more than a fifth, or
where another process is busy at the start: a machine that is not alone measures its visitors. Ratios and shares of GEMM are paired by turn,
their 95 % intervals those of the mean logarithm (Student's t).
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers import shapes
from benchmarks.peers.environments import alone, locked, python_of
from benchmarks.peers.gemm import gemm
from benchmarks.peers.rival import ROOT, Rival
from benchmarks.peers.table import Figures, table
from benchmarks.peers.works import WORKS, Work
from benchmarks.publish import replace

DRIFT = 0.2
PAGE = ROOT / "docs" / "performance.md"


def main() -> None:
    asked = arguments()
    works = [(WORKS[name], size) for name in asked.work.split(",") for size in asked.size.split(",")]
    with locked():
        if not alone():
            sys.exit("another process is busy on this machine: a comparison would measure it; try again when the machine is alone")
        pythons = {side.environment: python_of(side.environment) for work, _ in works for side in work.sides}
        found = [compared(work, size, pythons, asked.repeats) for work, size in works]
    if any(figures.drift > DRIFT for figures in found):
        sys.exit(f"GEMM changed by more than {DRIFT:.0%} within a comparison: the machine was not alone, and those figures mean nothing")
    print(table(found))
    if asked.publish:
        replace(asked.publish, table(found), PAGE)
    if asked.json:
        Path(asked.json).write_text(json.dumps([figures.plain() for figures in found], indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", default=",".join(WORKS), help="of " + ", ".join(WORKS))
    parser.add_argument("--size", default="11m,60m", help="of " + ", ".join(shapes.SIZES))
    parser.add_argument("--repeats", type=int, default=5, help="turns of each side")
    parser.add_argument("--json", help="where to write every figure")
    told = "write the table into docs/performance.md: `peers`, or another of its tables"
    parser.add_argument("--publish", nargs="?", const="peers", metavar="TABLE", help=told)
    asked = parser.parse_args()
    if unknown := [name for name in asked.work.split(",") if name not in WORKS]:
        parser.error(f"no work is called {', '.join(unknown)}; there are {', '.join(WORKS)}")
    if unknown := [size for size in asked.size.split(",") if size not in shapes.SIZES]:
        parser.error(f"no size is called {', '.join(unknown)}; there are {', '.join(shapes.SIZES)}")
    return asked


def compared(work: Work, size: str, pythons: Mapping[str, Path], repeats: int) -> Figures:
    """All sides in turn, `repeats` times."""
    rivals = {side.name: Rival(pythons[side.environment], side.module, side.work, size) for side in work.sides}
    try:
        gemms = [gemm()]
        rates: dict[str, list[float]] = {name: [] for name in rivals}
        for turn in range(repeats):
            for name, rival in rivals.items():
                rates[name].append(rival.rate())
                print(f"{work.name} {size}, turn {turn + 1}: {name} {rates[name][-1]:,.1f} {work.unit}", file=sys.stderr, flush=True)
            gemms.append(gemm())
        return Figures(work, size, rates, gemms)
    finally:
        for rival in rivals.values():
            rival.close()


if __name__ == "__main__":
    main()
