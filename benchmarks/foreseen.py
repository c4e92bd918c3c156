"""Does `tutelage plan` foresee what a run takes?  python -m benchmarks.foreseen SHARED [--publish] [--only NAME]

Six recipes of different kinds are planned and then run, each plan and each run in a process of its own and a directory that is new. Held
against each other: the sum of all stages' seconds, as the run's manifests note them, and the highest of their peaks. SHARED is a folder
with `models/english-14m` (a Llama of 13.8M parameters) and `data/` (Dolly's demonstrations, pairs of HH-RLHF).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.publish import replace, table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
TIME, MEMORY = 0.25, 0.15
"""Shares of what was measured that a plan may be off by."""
WORLD = "inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}"
BASE = """\
  base: {method: pretrain, data: text, tokens: 200000}
  sft: {method: sft, init: base, data: demonstrations, tokens: 100000}"""
LABEL = "  said: {method: label, policy: sft, prompts: prompts, count: 1500}"
RECIPES: Mapping[str, tuple[str, str]] = {
    "pre-training and fine-tuning": (
        f"model: {{new: tiny}}\n{WORLD}\nstages:",
        BASE.replace("200000", "600000").replace("100000", "200000"),
    ),
    "fine-tuning, LoRA": (
        "model: MODEL\ninputs: {demonstrations: DATA/sft_dolly_3k.jsonl.gz}\nstages:",
        "  sft: {method: sft, data: demonstrations, adapter: {rank: 16}, epochs: 1, too_long: leave_out}",
    ),
    "reward model": (
        "model: MODEL\ninputs: {pairs: DATA/pref_hh_helpful.jsonl.gz}\nstages:",
        "  judge: {method: reward, preferences: pairs, demonstrations: null, steps: 40, too_long: leave_out}",
    ),
    "DPO": (
        "model: MODEL\ninputs: {pairs: DATA/pref_hh_helpful.jsonl.gz}\nstages:",
        "  dpo: {method: dpo, preferences: pairs, steps: 20, too_long: leave_out}",
    ),
    "PPO, value shared": (
        f"model: {{new: tiny}}\n{WORLD}\nstages:",
        f"{BASE}\n{LABEL.replace('1500', '300')}\n  judge: {{method: reward, init: sft, preferences: said}}\n"
        "  ppo: {method: ppo, init: sft, reward_model: judge, prompts: prompts, value: shared, updates: 20}",
    ),
    "labels and an evaluation": (
        f"model: {{new: tiny}}\n{WORLD}\nstages:",
        f"{BASE}\n{LABEL}\n  measured: {{method: evaluate, models: [base, sft], "
        "evals: [overall, heldout, forgetting, diversity], count: 1500}",
    ),
}
PLAN = """
import json, sys, tutelage
rows = tutelage.plan(sys.argv[1], sys.argv[2])
print(json.dumps([[row.step.name, row.seconds, row.memory, row.how, row.note] for row in rows]))
"""


@dataclass(frozen=True)
class Pair:
    """What was foreseen, and what came."""

    seconds: tuple[float, float]
    peak: tuple[float, float]

    @property
    def off(self) -> tuple[float, float]:
        """By which share of what was measured, time and memory."""
        (s, measured_s), (m, measured_m) = self.seconds, self.peak
        return s / measured_s - 1, m / measured_m - 1


def main() -> None:
    asked = argparse.ArgumentParser(description="Holds plans against runs.")
    asked.add_argument("shared", type=Path)
    asked.add_argument("--publish", action="store_true", help="write docs/performance.md")
    asked.add_argument("--only", choices=list(RECIPES))
    given = asked.parse_args()
    found: dict[str, Pair] = {}
    for name in [given.only] if given.only else RECIPES:
        found[name] = held_against(name, given.shared.resolve())
        time, memory = found[name].off
        print(f"{name}: time {time:+.0%}, memory {memory:+.0%}", flush=True)
    print(lines(found))
    if given.publish:
        replace("foreseen", lines(found), PAGE)


def held_against(name: str, shared: Path) -> Pair:
    """One recipe, planned without anything measured before, and run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        head, stages = RECIPES[name]
        page = f"schema: 1\n{head}\n{stages}\n".replace("MODEL", str(shared / "models" / "english-14m"))
        (folder / "recipe.yaml").write_text(page.replace("DATA", str(shared / "data")))
        planned = json.loads(process(folder, "-c", PLAN, "recipe.yaml", "run").splitlines()[-1])
        arithmetic = [f"{row[0]}: {row[3]} {row[4]}" for row in planned if row[3] != "rehearsed"]
        if arithmetic:
            sys.exit(f"{name}: not rehearsed: {'; '.join(arithmetic)}")
        process(folder, "-m", "tutelage", "run", "recipe.yaml", "--out", "run")
        costs = [json.loads(path.read_text())["cost"] for path in folder.glob("run/artifacts/*/artifact.json")]
        for row in planned:
            (made,) = (json.loads(path.read_text())["cost"] for path in folder.glob(f"run/artifacts/{row[0]}-*/artifact.json"))
            print(
                f"  {row[0]}: {row[1]:.1f} s of {made['seconds']:.1f}, {row[2] / 2**30:.2f} GiB of {made['peak_rss'] / 2**30:.2f}",
                flush=True,
            )
    seconds = (sum(row[1] for row in planned), sum(cost["seconds"] for cost in costs))
    return Pair(seconds, (max(row[2] for row in planned), max(cost["peak_rss"] for cost in costs)))


def process(folder: Path, *words: str) -> str:
    """What a Python process in `folder` writes."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words[:4])} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def lines(found: Mapping[str, Pair]) -> str:
    """A row for each recipe, and how many were within."""
    rows: list[list[str]] = []
    for name, pair in found.items():
        (time, memory), (s, measured_s), (m, measured_m) = pair.off, pair.seconds, pair.peak
        within = "yes" if abs(time) <= TIME and abs(memory) <= MEMORY else "**no**"
        gib = [f"{x / 2**30:.2f}" for x in (m, measured_m)]
        rows.append([name, f"{s:.0f}", f"{measured_s:.0f}", f"{time:+.0%}", *gib, f"{memory:+.0%}", within])
    held = sum(row[-1] == "yes" for row in rows)
    head = ["recipe", "seconds planned", "measured", "off by", "peak planned, GiB", "measured", "off by", "within 25 % and 15 %"]
    return f"{table(head, rows)}\n\n{held} of {len(rows)} within both."


if __name__ == "__main__":
    main()
