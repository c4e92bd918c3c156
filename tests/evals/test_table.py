import io

import pytest
from rich.console import Console

from tests.evals.test_report import full
from tutelage.evals.table import show


def printed(width: int) -> str:
    console = Console(width=width, record=True, force_terminal=False, file=io.StringIO())
    show(full(), console)
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
