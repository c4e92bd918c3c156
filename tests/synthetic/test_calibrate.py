"""The calibration's reading of a report: its table, and that a missed requirement is seen."""

import json
import sys
from pathlib import Path

import pytest

from tutelage.synthetic import calibrate
from tutelage.synthetic.items import TRAINED


def report(sft: float = 0.55, skyline: float = 0.8, page: float = 0.7) -> dict:
    families = {family.NAME: {"mean": sft, "n": 60} for family in TRAINED} | {"page_question": {"mean": page, "n": 60}}
    stages = {"base": 0.05, "sft": sft, "skyline": skyline}
    return {
        "evals": {"overall": {stage: {"mean": mean, "n": 960, "families": families} for stage, mean in stages.items()}},
        "cost": {stage: {"seconds": 12.0} for stage in stages},
    }


def test_a_good_run_meets_all_requirements():
    found = calibrate.measured(report(), 0)
    assert all(requirement.met for requirement in calibrate.requirements(found))
    table = calibrate.table(found)
    assert "| page_question |" in table
    assert "MISSED" not in table


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"page": 0.5}, "page questions"),
        ({"sft": 0.7}, "SFT overall"),
        ({"page": 0.95}, "strongest family"),
        ({"skyline": 0.6}, "skyline above SFT"),
    ],
)
def test_a_missed_requirement_is_seen(changed: dict, said: str):
    missed = [r.said for r in calibrate.requirements(calibrate.measured(report(**changed), 0)) if not r.met]
    assert any(said in name for name in missed)


def test_chance_is_low_everywhere():
    found = calibrate.chance(0)
    assert set(found) == {family.NAME for family in TRAINED}
    assert max(found.values()) < 0.15


def test_each_seed_is_run_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """A stand-in for the interpreter writes down its arguments and prints a report; exit 1 because page questions are missed."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n" + STAND_IN.format(report=json.dumps(report(page=0.5))))
    script.chmod(0o755)
    monkeypatch.setattr(calibrate.sys, "executable", str(script))
    assert calibrate.main(["--seeds", "3", "4", "--out", str(tmp_path / "runs"), "model.new=nano"]) == 1
    asked = (tmp_path / "runs" / "seed-4" / "asked").read_text().split("\n")
    assert asked[:4] == ["-m", "tutelage", "run", "calibrate"]
    assert asked[4:6] == ["seed=4", "model.new=nano"]
    assert "### Seed 3" in capfd.readouterr().out


STAND_IN = '''
import pathlib, sys
if "report" in sys.argv:
    print("""{report}""")
else:
    folder = pathlib.Path(sys.argv[-1])
    folder.mkdir(parents=True)
    (folder / "asked").write_text("\\n".join(sys.argv[1:]))
'''
