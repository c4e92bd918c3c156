"""Many command lines in one real process, because importing takes longer than refusing."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRIVER = """
import contextlib, io, json, sys
from tutelage.cli import main
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as left:
            code = left.code
        except BaseException:
            import traceback
            traceback.print_exc()
            code = "traceback"
    print(json.dumps([code, out.getvalue(), err.getvalue()]), file=sys.__stdout__)
"""


@dataclass(frozen=True)
class Answer:
    """How a command line ended."""

    code: int | str
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """For a process that runs the command from anywhere."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "COLUMNS": "160", **more}


def commands(lines: Sequence[Sequence[str]], folder: Path) -> list[Answer]:
    """Run each of `lines` (arguments of `tutelage`) in `folder`, one after another in one process."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps([list(map(str, line)) for line in lines]),
        cwd=folder, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Answer(*json.loads(line)) for line in done.stdout.splitlines()]


def command(*line: str | Path, folder: Path, **more: str) -> Answer:
    """One command in a process of its own."""
    arguments = [sys.executable, "-m", "tutelage", *map(str, line)]
    done = subprocess.run(arguments, cwd=folder, env=environment(**more), capture_output=True, text=True)
    return Answer(done.returncode, done.stdout, done.stderr)
