"""A run directory: locked, atomic, and never with half an artifact in it, however the process ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tutelage.core.artifact import Artifact
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.run import Run

HASH = "0123456789abcdef"


def artifact(stage: str = "sft", hash: str = HASH, **fields: Any) -> Artifact:
    return Artifact(stage=stage, hash=hash, method="sft", settings={"steps": 3}, parents={"base": "ff"}, **fields)


def finished(run: Run, stage: str = "sft", hash: str = HASH, weights: str = "w") -> Artifact:
    (run.building(stage, hash) / "weights").write_text(weights)
    return run.finish(artifact(stage, hash, results={"loss": 1.5}))


def content(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_a_run_remembers(tmp_path: Path) -> None:
    with Run.open(tmp_path / "deep" / "demo", "instructgpt", "h1", create=True) as run:
        made = finished(run)
        run.update(decided={"dtype": "float32"})
        run.journal({"kind": "judged", "prompt": "p"})
        assert (made.path / "weights").read_text() == "w" and made.path.name == "sft-0123456789ab"
    with Run.open(run.path, "instructgpt") as again:
        assert again.manifest["recipe_hash"] == "h1" and again.manifest["decided"] == {"dtype": "float32"}
        assert again.current() == {"sft": HASH}
        assert again.find("sft", HASH) == made and again.artifacts() == [made]
        assert again.find("sft", HASH[:-1] + "0") is None and again.find("base", HASH) is None
        assert again.events()[0]["kind"] == "judged" and again.events()[0]["at"].endswith("+00:00")
    assert Run.open(run.path, "instructgpt", "h2").manifest["recipe_hash"] == "h2"


def test_manifest_is_a_copy(tmp_path: Path) -> None:
    with Run.open(tmp_path / "demo", "r", create=True) as run:
        run.manifest["current"]["sft"] = "x"
        run.current()["sft"] = "x"
        assert run.current() == {} == run.manifest["current"]


def test_earlier_artifacts_stay_and_can_become_current_again(tmp_path: Path) -> None:
    with Run.open(tmp_path / "demo", "r", create=True) as run:
        first, second = finished(run), finished(run, hash="f" * 16, weights="v")
        assert run.current() == {"sft": second.hash} and len(run.artifacts()) == 2
        run.use(first)
        assert run.current() == {"sft": first.hash}


def test_making_the_same_again_replaces(tmp_path: Path) -> None:
    with Run.open(tmp_path / "demo", "r", create=True) as run:
        finished(run)
        made = finished(run, weights="again")
        assert (made.path / "weights").read_text() == "again"
        assert os.listdir(run.path / "artifacts") == [made.path.name]


def test_building_is_not_found_and_is_kept(tmp_path: Path) -> None:
    with Run.open(tmp_path / "demo", "r", create=True) as run:
        (run.building("sft", HASH) / "checkpoint").write_text("half")
    with Run.open(tmp_path / "demo", "r") as run:
        assert run.find("sft", HASH) is None and run.artifacts() == []
        assert (run.building("sft", HASH) / "checkpoint").read_text() == "half"
        with pytest.raises(UserError, match="a stage's name"):
            run.building("../sft", HASH)


def test_view_reads_beside_a_process_at_work_and_never_writes(tmp_path: Path) -> None:
    with Run.open(tmp_path / "demo", "r", create=True) as run:
        made = finished(run)
        before = content(run.path)
        view = Run.view(run.path)
        assert view.artifacts() == [made] and view.current() == {"sft": HASH}
        for act in (lambda: view.update(a=1), lambda: view.journal({}), lambda: view.building("a", "b")):
            with pytest.raises(RuntimeError, match="for reading"):
                act()
        assert content(run.path) == before
    with pytest.raises(RuntimeError, match="closed"):
        run.update(a=1)


def test_directories_that_must_not_be_opened_are_left_alone(tmp_path: Path) -> None:
    Run.open(tmp_path / "demo", "instructgpt", create=True).close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "manifest.json").write_text('{"schema": 2}')
    before = content(tmp_path)
    for name, message in [
        ("demo", r"demo: made by the recipe 'instructgpt', not 'assistant'; give another directory with --out$"),
        ("other", r"other: not empty and not a run \(manifest.json is missing\)"),
        ("other/thesis.tex", "a file, not a directory"),
        ("broken", "manifest.json: broken JSON"),
        ("newer", r"manifest.json: written by a newer Tutelage \(schema 2; this one reads up to 1\)"),
    ]:
        with pytest.raises(UserError, match=message):
            Run.open(tmp_path / name, "assistant", create=True)
    for open_ in (Run.open, Run.view):
        with pytest.raises(UserError, match="no run here"):
            open_(tmp_path / "none")
    assert content(tmp_path) == before and not (tmp_path / "none").exists()


def test_a_newer_artifact_is_refused(tmp_path: Path) -> None:
    with Run.open(tmp_path / "demo", "r", create=True) as run:
        path = finished(run).path / "artifact.json"
        path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
        with pytest.raises(UserError, match="newer Tutelage"):
            run.find("sft", HASH)


def test_the_unwritable_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "demo", Path("/proc/nowhere/demo")):
        with pytest.raises(Interrupted, match="could not be written"):
            Run.open(path, "r", create=True)


def start(code: str, *args: object) -> "subprocess.Popen[str]":
    code = f"import os, sys, time\nfrom tutelage.core.run import Run\nfrom tutelage.core.artifact import Artifact\n{code}"
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], text=True, stdout=subprocess.PIPE)


def test_one_process_at_a_time_and_a_kill_frees_the_lock(tmp_path: Path) -> None:
    holder = start("run = Run.open(sys.argv[1], 'r', create=True); print('open', flush=True); time.sleep(60)", tmp_path / "demo")
    assert holder.stdout and holder.stdout.readline() == "open\n"
    before = content(tmp_path)
    try:
        with pytest.raises(UserError, match=f"in use by process {holder.pid}; wait for it to end"):
            Run.open(tmp_path / "demo", "r", create=True)
        assert content(tmp_path) == before
    finally:
        holder.kill()
        holder.wait()
    Run.open(tmp_path / "demo", "r").close()


FINISHING = """
run = Run.open(sys.argv[1], "r", create=True)
stop, calls = int(sys.argv[2]), 0
def die(name, args):
    global calls
    if name in ("os.rename", "os.mkdir", "open", "shutil.rmtree", "os.remove"):
        calls += 1
        if calls == stop:
            os.kill(os.getpid(), 9)
path = run.building("sft", "0123456789abcdef")
(path / "weights").write_text("new")
sys.addaudithook(die)
run.finish(Artifact(stage="sft", hash="0123456789abcdef", method="sft"))
print("done")
"""


@pytest.mark.parametrize("replacing", [False, True])
def test_a_kill_at_any_moment_of_finish_leaves_the_whole_or_the_unfinished(tmp_path: Path, replacing: bool) -> None:
    seen: set[str] = set()
    for stop in range(1, 40):
        path = tmp_path / str(stop)
        if replacing:
            with Run.open(path, "r", create=True) as run:
                finished(run, weights="old")
        process = start(FINISHING, path, stop)
        done = process.communicate()[0] == "done\n"
        assert done or process.returncode == -signal.SIGKILL
        assert all((made.path / "weights").exists() for made in Run.view(path).artifacts())
        with Run.open(path, "r") as run:
            found = run.find("sft", HASH)
            assert not replacing or found
            weights = (found.path / "weights").read_text() if found else "building"
            assert weights == "building" or weights == "new" or replacing
            if weights != "new":
                assert (run.building("sft", HASH) / "weights").read_text() == "new"
            seen.add(weights)
            made = run.finish(artifact()) if weights != "new" else found
            assert made and (made.path / "weights").read_text() == "new" and os.listdir(run.path / "artifacts") == [made.path.name]
            json.loads((run.path / "manifest.json").read_text())
        if done:
            break
    assert stop > 4 and seen == {"old" if replacing else "building", "new"}


def test_a_mistake_that_only_work_finds_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError), Run.open(tmp_path / "demo", "r", create=True) as run:
        run.building("sft", HASH)
        raise UserError("these weights are no model's")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["journal", "file", "artifact"])
def test_work_that_was_done_before_a_mistake_stays(tmp_path: Path, left: str) -> None:
    with pytest.raises(UserError), Run.open(tmp_path / "demo", "r", create=True) as run:
        if left == "journal":
            run.journal({"kind": "judged"})
        elif left == "file":
            (run.building("sft", HASH) / "checkpoint").write_text("w")
        else:
            finished(run)
        raise UserError("a row is unlike the others")
    assert Run.view(tmp_path / "demo").manifest["recipe"] == "r"


def test_a_run_that_was_there_survives_a_mistake_and_a_new_one_a_fault(tmp_path: Path) -> None:
    with Run.open(tmp_path / "demo", "r", create=True):
        pass
    with pytest.raises(UserError), Run.open(tmp_path / "demo", "r"):
        raise UserError("no")
    with pytest.raises(Interrupted), Run.open(tmp_path / "other", "r", create=True):
        raise Interrupted("no disk")
    assert Run.view(tmp_path / "demo") and Run.view(tmp_path / "other")
