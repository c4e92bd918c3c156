"""What the product's own command reaches of the engine's speed, and how soon it begins to learn:  python -m benchmarks.command [--publish]

`tutelage sft` on a folder and a file, in a process of its own, in turn with the engine on the same rows (the side "Tutelage" of
benchmarks.peers). A step is finished when its line stands in metrics.jsonl. The command's rate is that of the steps after the first three;
its first step begins one step before its first line. Both sides in their usual environment: the engine's allocator is told nothing that
the command's isn't.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.peers import ours, shapes
from benchmarks.peers.__main__ import PAGE
from benchmarks.peers.environments import alone, locked
from benchmarks.peers.rival import ROOT, paths
from benchmarks.peers.table import paired
from benchmarks.publish import replace

SKIPPED = 3
"""Steps that are not counted: the first find their kernels and their memory."""


def prepared(folder: Path, size: str) -> tuple[Path, Path]:
    """A model and demonstrations, as a user has them: the rows of `ours.sft`, written as words."""
    model, rows = folder / "model", folder / "rows.jsonl"
    shapes.model(size).save_pretrained(model)
    shapes.tokenizer().save_pretrained(model)
    pairs = [{"prompt": shapes.text(a), "completion": shapes.text(b)} for a, b in shapes.fine_tuning(shapes.SFT_ROWS, 0)]
    rows.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return model, rows


def command(model: Path, rows: Path, out: Path) -> tuple[float, float]:
    """(tokens/s, seconds until the first step begins)"""
    settings = ["epochs=4", f"step_tokens={ours.STEP}", "rates.learning_rate=1e-4"]
    line = [sys.executable, "-m", "tutelage", "sft", str(model), str(rows), *settings, "--out", str(out)]
    start, seen = time.perf_counter(), list[float]()
    with (out.parent / f"{out.name}.log").open("w") as log:
        process = subprocess.Popen(line, cwd=ROOT, env=paths(), stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(0.002)
            now = time.perf_counter() - start
            seen += [now] * (len(steps(out)) - len(seen))
    if process.returncode:
        raise SystemExit((out.parent / f"{out.name}.log").read_text())
    each = statistics.median(b - a for a, b in zip(seen[SKIPPED:], seen[SKIPPED + 1 :], strict=False))
    tokens = sum(json.loads(step)["tokens"] for step in steps(out)[SKIPPED + 1 :])
    return tokens / (seen[-1] - seen[SKIPPED]), seen[0] - each


def steps(out: Path) -> list[str]:
    """Whole lines of metrics.jsonl."""
    for file in out.glob("artifacts/*/metrics.jsonl"):
        with suppress(FileNotFoundError):  # the folder gets its final name when the stage is done: looked for again
            return file.read_text().split("\n")[:-1]
    return []


def table(found: dict[str, list[tuple[float, float, float]]]) -> str:
    lines = ["| size | command, tokens/s | engine, tokens/s | share (95 %) | first step begins after |", "| --- | --- | --- | --- | --- |"]
    for size, turns in found.items():
        rates, begins, engines = zip(*turns, strict=True)
        share = "{:.0%} ({:.0%} to {:.0%})".format(*paired(rates, engines))
        begin = f"{statistics.median(begins):.1f} s (at most {max(begins):.1f})"
        lines.append(f"| {size} | {statistics.median(rates):,.0f} | {statistics.median(engines):,.0f} | {share} | {begin} |")
    return "\n".join([*lines, "", f"{len(next(iter(found.values())))} turns"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.command", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="11m,60m", help="of " + ", ".join(shapes.SIZES))
    parser.add_argument("--repeats", type=int, default=5, help="turns of each side")
    parser.add_argument("--publish", action="store_true", help="write the table into docs/performance.md")
    asked = parser.parse_args()
    found: dict[str, list[tuple[float, float, float]]] = {}
    with locked(), tempfile.TemporaryDirectory() as kept:
        if not alone():
            sys.exit("another process is busy on this machine: its visits would be measured; try again when the machine is alone")
        for size in asked.size.split(","):
            folder = Path(kept) / size
            folder.mkdir()
            model, rows = prepared(folder, size)
            engine = ours.sft(size)
            engine()
            for turn in range(asked.repeats):
                rate, begins = command(model, rows, folder / f"run-{turn}")
                tokens, seconds = engine()
                found.setdefault(size, []).append((rate, begins, tokens / seconds))
                print(
                    f"{size}, turn {turn + 1}: {rate:,.0f} and {tokens / seconds:,.0f} tokens/s, {begins:.1f} s",
                    file=sys.stderr,
                    flush=True,
                )
    print(table(found))
    if asked.publish:
        replace("command", table(found), PAGE)


if __name__ == "__main__":
    main()
