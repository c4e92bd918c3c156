"""A probe of a policy in training, on the same prompts every few updates: what the reward model thinks, what is true, how far it went.

A row of `metrics.jsonl` for the curve of overoptimization (Gao et al. 2022: proxy and gold against KL). The golds of single prompts
are kept too, so that the fall from the peak can be measured without picking the peak on the prompts it is measured on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tutelage.core import statistics
from tutelage.core.text import Prompt

CURVES = ("gold", "proxy", "kl")


def probe(step: int, gold: Sequence[float] | None, proxy: Sequence[float], kl: Sequence[float]) -> dict[str, object]:
    """One row: mean, low and high of each, over prompts; `gold_by_prompt` in the prompts' order. No gold where nobody knows the truth."""
    row: dict[str, object] = {"step": step}
    for name, values in zip(CURVES, (gold, proxy, kl), strict=True):
        if values is not None:
            found = statistics.mean(list(values))
            row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    if gold is not None:
        row["gold_by_prompt"] = [round(value, 6) for value in gold]
    return row


def graded_rows(
    looks: Sequence[Mapping[str, Any]], prompts: Mapping[str, Prompt], grade: Callable[[Prompt, str, bool], float] | None
) -> list[dict[str, object]]:
    """Rows from what a stage in training wrote down, {step, prompts, answers, finished, proxy, kl}, one value per prompt each.

    Gold is closed while a policy trains; so the answers were kept, and are graded here. `prompts` by id.
    """
    rows = []
    for look in looks:
        said = zip(look["prompts"], look["answers"], look["finished"], strict=True)
        gold = [grade(prompts[name], text, finished) for name, text, finished in said] if grade else None
        rows.append(probe(look["step"], gold, look["proxy"], look["kl"]))
    return rows


def curves(by_stage: Mapping[str, Sequence[Mapping[str, object]]]) -> dict[str, dict[str, list[dict[str, float]]]]:
    """{gold | proxy | kl: {stage: [{step, value, low, high}]}} from each stage's rows; what nobody measured is left out."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name in CURVES:
        lines = {stage: [point(name, row) for row in rows if name in row] for stage, rows in by_stage.items()}
        found[name] = {stage: line for stage, line in lines.items() if line}
    return {name: lines for name, lines in found.items() if lines}


def point(name: str, row: Mapping[str, object]) -> dict[str, float]:
    keys = {"step": "step", "value": name, "low": f"{name}_low", "high": f"{name}_high"}
    return {key: float(row[source]) for key, source in keys.items() if row.get(source) is not None}  # type: ignore[arg-type]
