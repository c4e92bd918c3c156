"""Files that survive: real kills, real full disks."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tutelage.core.errors import Interrupted, UserError
from tutelage.core.files import JsonLines, write_atomic


def python(code: str, *args: object, limit: int | None = None) -> "subprocess.Popen[str]":
    """Start `code` in a fresh process; `limit` bytes is the largest file that it may write."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limited)


def test_rows_are_appended_and_read(tmp_path: Path) -> None:
    rows = JsonLines(tmp_path / "rows.jsonl")
    assert rows.read() == []
    rows.append([])
    assert not rows.path.exists()
    rows.append([{"step": 1, "text": "two\nlines \u2028 and an umlaut: \u00fc"}])
    rows.append([{"step": 2}, {"step": 3}])
    assert [row["step"] for row in rows.read()] == [1, 2, 3] and rows.read()[0]["text"].endswith("\u00fc")
    assert rows.path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("torn", ['{"step"', '{"step":3}', "x" * 200_000])
def test_a_torn_last_row_is_dropped_then_removed(tmp_path: Path, torn: str) -> None:
    rows = JsonLines(tmp_path / "rows.jsonl")
    rows.append([{"step": 1}, {"step": 2}])
    with open(rows.path, "a") as file:
        file.write(torn)
    assert rows.read() == [{"step": 1}, {"step": 2}]
    rows.append([{"step": 4}])
    assert rows.path.read_text() == '{"step":1}\n{"step":2}\n{"step":4}\n'


def test_a_file_of_one_torn_row_is_empty(tmp_path: Path) -> None:
    rows = JsonLines(tmp_path / "rows.jsonl")
    rows.path.write_text('{"st')
    assert rows.read() == []
    rows.append([{"step": 1}])
    assert rows.read() == [{"step": 1}]


@pytest.mark.parametrize("broken", ["{oops}\n", "5\n"])
def test_a_broken_row_inside_is_an_error_with_its_number(tmp_path: Path, broken: str) -> None:
    rows = JsonLines(tmp_path / "rows.jsonl")
    rows.path.write_text('{"step":1}\n' + broken + '{"step":3}\n')
    with pytest.raises(UserError, match=r"rows.jsonl:2: "):
        rows.read()


def test_truncate_after_cuts_what_a_checkpoint_does_not_know(tmp_path: Path) -> None:
    rows = JsonLines(tmp_path / "rows.jsonl")
    rows.truncate_after(lambda row: True)
    assert not rows.path.exists()
    rows.append([{"step": 1}, {"step": 2}, {"note": "probe"}, {"step": 3}, {"step": 4}])
    with open(rows.path, "a") as file:
        file.write('{"step":5')
    rows.truncate_after(lambda row: row.get("step", 0) == 3)
    assert rows.read() == [{"step": 1}, {"step": 2}, {"note": "probe"}, {"step": 3}]
    rows.truncate_after(lambda row: False)
    assert rows.path.read_bytes() == b""


APPENDING = """
import sys
from pathlib import Path
from tutelage.core.files import JsonLines
rows = JsonLines(Path(sys.argv[1]))
start = len(rows.read())
for step in range(start, 10**9):
    rows.append([{"step": step, "text": "x" * (step * 7919 % 100_000)}])
    print(step, flush=True)
"""


def test_a_kill_while_appending_loses_at_most_the_row_in_flight(tmp_path: Path) -> None:
    rows = JsonLines(tmp_path / "rows.jsonl")
    for attempt in range(4):
        writer = python(APPENDING, rows.path)
        assert writer.stdout
        told = [writer.stdout.readline() for _ in range(5 + attempt)]
        time.sleep(0.003 * attempt)
        writer.kill()
        told += writer.communicate()[0].splitlines()
        assert writer.returncode == -signal.SIGKILL
        steps = [row["step"] for row in rows.read()]
        assert steps == list(range(len(steps))) and len(steps) - int(told[-1]) in (1, 2)


REWRITING = """
import itertools, sys
from pathlib import Path
from tutelage.core.files import write_atomic
for letter in itertools.cycle("abc"):
    write_atomic(Path(sys.argv[1]), letter * 2_000_000)
    print(letter, flush=True)
"""


def test_a_file_is_whole_at_every_moment_and_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    writer = python(REWRITING, path)
    assert writer.stdout and writer.stdout.readline() == "a\n"
    seen, reads = set[str](), 0
    try:
        while len(seen) < 3 or (reads := reads + 1) < 40:
            text = path.read_text()
            assert len(text) == 2_000_000 and len(set(text)) == 1
            seen.add(text[0])
    finally:
        writer.kill()
        writer.communicate()
    assert len(path.read_text()) == 2_000_000


FULL = """
import sys
from pathlib import Path
from tutelage.core.errors import Interrupted
from tutelage.core.files import JsonLines, write_atomic
folder = Path(sys.argv[1])
write_atomic(folder / "weights", b"old")
JsonLines(folder / "rows.jsonl").append([{"step": 1}])
for action in (
    lambda: write_atomic(folder / "weights", b"n" * 100_000),
    lambda: JsonLines(folder / "rows.jsonl").append([{"step": 2}, {"text": "x" * 100_000}]),
):
    try:
        action()
    except Interrupted as error:
        print(error)
"""


def check_full(folder: Path, words: str, out: str) -> None:
    assert out.count(words) == 2 and out.count("run the same command again") == 2, out
    assert (folder / "weights").read_bytes() == b"old"
    assert (folder / "rows.jsonl").read_text() == '{"step":1}\n'
    assert sorted(path.name for path in folder.iterdir()) == ["rows.jsonl", "weights"]


def test_a_size_limit_leaves_files_as_they_were(tmp_path: Path) -> None:
    out, err = python(FULL, tmp_path, limit=50_000).communicate()
    assert not err
    check_full(tmp_path, "File too large", out)


def test_a_full_disk_leaves_files_as_they_were(tmp_path: Path) -> None:
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=64k tmpfs {disk}"
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets no one mount a small disk")
    script = f'{mount} && "{sys.executable}" -c "$1" {disk} && cp -r {disk} {copy}'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", FULL], capture_output=True, text=True)
    assert not done.stderr
    check_full(copy, "No space left on device", done.stdout)


def test_write_atomic_replaces_whole_and_reports_the_unwritable(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, "\u00fc")
    write_atomic(path, json.dumps({"b": 1}))
    assert path.read_text() == '{"b": 1}' and os.listdir(tmp_path) == ["a.json"]
    for nowhere in (path / "below-a-file", tmp_path / "none" / "a.json"):
        with pytest.raises(Interrupted, match="could not be written"):
            write_atomic(nowhere, b"")
    with pytest.raises(Interrupted, match="could not be written"):
        JsonLines(tmp_path / "none" / "rows.jsonl").append([{"a": 1}])
