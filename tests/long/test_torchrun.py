"""`tutelage run` by two processes: what they learn is what one learns, and the run directory is written by one of them."""

import json
import sys
from pathlib import Path

import pytest

from tests.processes import together
from tests.recipes import test_served as served
from tests.recipes.pages import page
from tests.standin import running
from tutelage.core.files import JsonLines
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run as run_here

pytestmark = pytest.mark.long
SMALL = ["model.new=nano", "stages.base.tokens=8000", "stages.preferences.count=24", "stages.ppo.updates=1", "stages.evaluate.count=24"]


def run(out: Path, size: int) -> None:
    command = [sys.executable, "-m", "tutelage", "run", "instructgpt", *SMALL, "--out", str(out)]
    together(size, lambda rank: command, timeout=900)


def metrics(out: Path, stage: str) -> list[dict]:
    (path,) = out.glob(f"artifacts/{stage}-*/metrics.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_processes_make_what_one_makes(tmp_path: Path) -> None:
    run(tmp_path / "one", 1)
    run(tmp_path / "two", 2)
    for stage, nll in (("base", "nll"), ("sft", "sft/nll")):
        one, two = (metrics(tmp_path / name, stage) for name in ("one", "two"))
        assert [row["step"] for row in two] == [row["step"] for row in one] == list(range(1, len(one) + 1))
        assert two[0][nll] == pytest.approx(one[0][nll], rel=2e-3)  # bfloat16, packed into other streams
        assert two[-1][nll] == pytest.approx(one[-1][nll], rel=2e-2)
    assert {path.name.split("-")[0] for path in (tmp_path / "two" / "artifacts").iterdir()} == {
        path.name.split("-")[0] for path in (tmp_path / "one" / "artifacts").iterdir()
    }
    assert all(abs(row["kl"]) < 1 for row in metrics(tmp_path / "two", "ppo") if "kl" in row)


def from_a_server(model: Path, out: Path, size: int) -> tuple[list[dict], list[list[dict]], dict]:
    """Two rounds of GRPO by so many processes: figures of each round, what each process was told, and what the server was asked."""
    (out / "shared").mkdir(parents=True)
    with running("--model", str(model)) as server:
        text = served.PAGE.replace("updates: 3", "updates: 2").replace("prompts: 3", "prompts: 4").replace("MODEL", str(model))
        recipe = page(out, text.replace("URL", server.url).replace("PUSH", str(out / "shared")))
        command = [sys.executable, "-m", "tutelage", "run", recipe, "--out", str(out / "run")]
        together(size, lambda rank: command, timeout=900)
        seen = server.seen()
    (stage,) = out.glob("run/artifacts/grpo-*")
    rows = [row for row in metrics(out / "run", "grpo") if "gap" in row]
    return rows, [JsonLines(stage / f"sampled-{rank}.jsonl").read() for rank in range(size)], seen


def test_two_processes_are_sampled_for_by_one_server_with_the_same_weights(tmp_path: Path) -> None:
    model = run_here(load(page(tmp_path, served.BASE)), tmp_path / "base").artifacts["base"].path / "model"
    one, (alone,), _ = from_a_server(model, tmp_path / "one", 1)
    two, told, seen = from_a_server(model, tmp_path / "two", 2)
    pushed = [body["lora_name"] for path, body in seen["seen"] if path == "/v1/load_lora_adapter"]
    assert len(pushed) == 2 and not seen["adapters"], "one of the processes gives the server weights"
    for rows in told:
        assert [row["by"] for row in rows] == [name for name in pushed for _ in range(8)], "and all of them ask for those"
    first = [[row["ids"] for row in rows if "-000000-" in row["by"]] for rows in ([*told[0], *told[1]], alone)]
    assert sorted(first[0]) == sorted(first[1]), "the same prompts, numbers and weights: the same responses, each asked for once"
    assert [row["behind"] for row in two] == [row["behind"] for row in one] == [0, 0]
    assert max(row["gap"] for row in two) < 1e-4
    for name in ("score", "entropy", "grad_norm"):
        assert two[0][name] == pytest.approx(one[0][name], rel=1e-3)
