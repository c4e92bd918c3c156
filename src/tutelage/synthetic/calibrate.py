"""What the built-in world leaves to be learnt: per family chance, base, SFT and a skyline that is rewarded by gold itself.

    python -m tutelage.synthetic.calibrate --seeds 0 1 2 [--out runs/calibrate] [model.new=nano ...]

Each seed runs the recipe `calibrate` through the installed command, in a process of its own, so what is measured is what users run. The
table goes to standard output, in Markdown, with a line per requirement; the exit status is 1 when one of them is missed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.core.randomness import stream
from tutelage.synthetic.gold import grade
from tutelage.synthetic.items import TRAINED, pool
from tutelage.synthetic.lexicon import vocabulary

STAGES = ("base", "sft", "skyline")
CHANCE_ITEMS = 1600
CHANCE_LENGTH = 12


@dataclass(frozen=True)
class Measured:
    """One seed: mean gold by stage and family, the overall mean by stage, seconds by stage."""

    seed: int
    families: dict[str, dict[str, float]]
    overall: dict[str, float]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Requirement:
    """What has to hold of each seed."""

    said: str
    value: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        return self.low <= self.value <= self.high


def chance(seed: int) -> dict[str, float]:
    """Mean gold of random words, by family: what knowing nothing earns."""
    words, found = vocabulary(), {family.NAME: list[float]() for family in TRAINED}
    for n, item in enumerate(pool("train", seed)[:CHANCE_ITEMS]):
        drawn = stream("chance", seed, n).integers(len(words), size=CHANCE_LENGTH)
        found[item.family].append(grade(item, " ".join(words[int(i)] for i in drawn)).overall)
    return {family: float(np.mean(scores)) for family, scores in found.items()}


def measured(report: dict[str, Any], seed: int) -> Measured:
    """From what `tutelage report --json` prints."""
    evals = report["evals"]["overall"]
    return Measured(
        seed=seed,
        families={"chance": chance(seed)} | {stage: {f: _mean(x) for f, x in evals[stage]["families"].items()} for stage in STAGES},
        overall={stage: float(evals[stage]["mean"]) for stage in STAGES},
        seconds={stage: float(report["cost"][stage]["seconds"]) for stage in STAGES},
    )


def requirements(found: Measured) -> list[Requirement]:
    """Page questions at least 0.6 after SFT, SFT overall 0.45 to 0.65, every family 0.1 to 0.9, skyline 0.2 above SFT."""
    sft = found.families["sft"]
    return [
        Requirement("page questions after SFT", sft["page_question"], 0.6, 1.0),
        Requirement("SFT overall", found.overall["sft"], 0.45, 0.65),
        Requirement(f"weakest family after SFT ({min(sft, key=sft.__getitem__)})", min(sft.values()), 0.1, 0.9),
        Requirement(f"strongest family after SFT ({max(sft, key=sft.__getitem__)})", max(sft.values()), 0.1, 0.9),
        Requirement("skyline above SFT", found.overall["skyline"] - found.overall["sft"], 0.2, 1.0),
    ]


def table(found: Measured) -> str:
    """One seed in Markdown."""
    columns = ("chance", *STAGES)
    lines = [f"### Seed {found.seed}", "", f"| family | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for family in found.families["sft"]:
        lines.append(f"| {family} | " + " | ".join(f"{found.families[column].get(family, 0.0):.2f}" for column in columns) + " |")
    chances = float(np.mean(list(found.families["chance"].values())))
    lines.append(f"| **overall** | {chances:.2f} | " + " | ".join(f"{found.overall[stage]:.2f}" for stage in STAGES) + " |")
    lines.append("| seconds | | " + " | ".join(f"{found.seconds[stage]:.0f}" for stage in STAGES) + " |")
    lines += ["", *(_line(requirement) for requirement in requirements(found)), ""]
    return "\n".join(lines)


def run(seed: int, out: Path, overrides: Sequence[str]) -> Measured:
    """Run the recipe for one seed (what is already there is kept) and read its report. CalledProcessError when it fails."""
    folder = out / f"seed-{seed}"
    tutelage = [sys.executable, "-m", "tutelage"]
    subprocess.run([*tutelage, "run", "calibrate", f"seed={seed}", *overrides, "--out", str(folder)], check=True, stdout=sys.stderr)
    said = subprocess.run([*tutelage, "report", str(folder), "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return measured(json.loads(said.stdout), seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run each seed, print the tables; 1 when a requirement is missed."""
    parser = argparse.ArgumentParser(prog="python -m tutelage.synthetic.calibrate", description="Calibrate the built-in world.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/calibrate"), help="a run directory per seed goes here")
    parser.add_argument("overrides", nargs="*", help="settings of the recipe, as for tutelage run")
    options = parser.parse_intermixed_args(arguments)
    missed = 0
    for seed in options.seeds:
        found = run(seed, options.out, options.overrides)
        missed += sum(not requirement.met for requirement in requirements(found))
        print(table(found), flush=True)
    return int(missed > 0)


def _mean(given: Any) -> float:
    return float(given["mean"] if isinstance(given, dict) else given)


def _line(requirement: Requirement) -> str:
    mark = "met" if requirement.met else "MISSED"
    return f"- {requirement.said}: {requirement.value:.2f} ({requirement.low:g} to {requirement.high:g}): {mark}"


if __name__ == "__main__":
    sys.exit(main())
