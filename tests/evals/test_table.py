import io
import json

import pytest
from rich.console import Console

from tests.evals.test_report import full
from tests.evals.world import NOTES, result
from tutelage.evals.findings import Findings
from tutelage.evals.report import as_json
from tutelage.evals.table import show


def printed(width: int) -> str:
    console = Console(width=width, record=True, force_terminal=False, file=io.StringIO())
    show(json.loads(json.dumps(as_json(full()))), console)
    return console.export_text()


def test_a_wide_terminal_shows_every_stage_with_intervals():
    text = printed(200)
    assert text.startswith("PPO is better than SFT by 0.12")
    row = next(line for line in text.splitlines() if line.startswith("Overall gold"))
    assert "better" in row and row.count(" to ") == 6  # the difference and five stages
    assert "held  PPO is at least 0.06 better than SFT" in text
    assert "failed  DPO is better than PPO" in text and "not tested  KTO" in text


@pytest.mark.parametrize("width", [80, 100])
def test_a_narrow_terminal_keeps_the_difference_whole(width: int):
    text = printed(width)
    row = next(line for line in text.splitlines() if line.startswith("Overall gold"))
    assert "better" in row and "+0.1" in row and " to " in row and "\u2026" not in text


def test_one_stage_alone_is_a_table_too():
    console = Console(width=100, record=True, file=io.StringIO())
    show(as_json(Findings("mine", NOTES, (result("sft", [0.5]),))), console)
    text = console.export_text()
    assert "SFT" in text and "no interval" in text
