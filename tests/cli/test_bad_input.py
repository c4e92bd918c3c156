"""Every mistake of a user's: exit code 2, one sentence on stderr that says what would be right, nothing written."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.batch import ROOT, command, commands, environment
from tests.recipes.pages import HERE, folder_model, page
from tutelage.core.run import Run

REAL = (ROOT / "src" / "tutelage" / "recipes" / "stages" / "evaluate.py").exists()

# What is changed in a small recipe -> what is said.
SMALL = {
    "stages.ppo.init=sfd": "small.yaml|there is no stage or input 'sfd'; did you mean 'sft'?",
    "stages.ppo.raet=0.1": "unknown setting of tests.recipes.tiny_stages:Chain; did you mean 'rate'?",
    "stages.ppo.method=nothing_like_it": "there is no method 'nothing_like_it'",
    "stages.ppo.steps=0": "stages.ppo.steps",
    "stages.ppo.steps=many": "stages.ppo.steps: expected a whole number",
    "stages.ppo.rate='1e-5'": "stages.ppo.rate: expected a number",
    "stages.ppo.rate=[0.1,0.2]": "stages.ppo.rate: expected a number",
    "stages.ppo.rate=yes": "the word yes is ambiguous",
    "stages.base.init=last": "made from itself",
    "stages.people.task=likert": "learns from ranking or pair",
    "inputs.text=nowhere.jsonl": "there is no file nowhere.jsonl",
    "inputs.text=empty.jsonl": "the file empty.jsonl is empty",
    "inputs.text=synthetic:txet": "there is no source 'synthetic:txet'; did you mean 'synthetic:text'?",
    "model=./nowhere": "there is no folder ./nowhere",
    "memory=0.1": "would need about",
    "rate": "write it as path=value",
    "stages.ppo=": "no value",
}

# What is changed in the built-in recipe -> what is said.
BUILT_IN = {
    "stages.ppo.kl_coeff=0.1": "did you mean 'kl_coef'?",
    "stages.ppo.kl_coef=-1": "stages.ppo.kl_coef",
    "stages.evaluate.evals=[overal]": "did you mean 'overall'?",
    "stages.evaluate.models=[base,stf]": "did you mean 'sft'?",
    "stages.preferences.responses=1": "stages.preferences.responses",
    "stages.reward_model.preferences=sft": "is a model, but preferences takes",
    "stages.dpo.method=dop": "there is no method 'dop'; did you mean 'dpo'?",
    "stages.ppo_no_ptx={like: ppo, method: grpo, rollouts: {samples: 1}}": "so there must be 2 or more",
    "stages.ppo_no_ptx={like: ppo, method: grpo, value_rates: {}}": "unknown setting of grpo",
    "model.new=tinny": "model",
    "inputs.demonstrations=broken.jsonl": "broken.jsonl:2",
    "inputs.demonstrations=unlike.jsonl": "unlike.jsonl:1",
    "memory=0.1": "would need about",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    page(folder, folder_model(folder))
    (folder / "empty.jsonl").touch()
    good = '{"prompt": "a", "completion": "b"}\n'
    (folder / "broken.jsonl").write_text(good + '{"prompt": "a", \n')
    (folder / "unlike.jsonl").write_text('{"question": "a", "reply": "b"}\n')
    (folder / "double.yaml").write_text((folder / "small.yaml").read_text() + "  base: {}\n")
    (folder / "list.yaml").write_text("- 1\n- 2\n")
    return folder


@pytest.fixture(scope="module")
def answers(folder):
    """{override: answer} for both recipes, and what lay in the folder afterwards."""
    before = sorted(folder.rglob("*"))
    lines = [["run", "small.yaml", text, "--out", "out"] for text in SMALL]
    if REAL:
        lines += [["run", "instructgpt", text, "--out", "out"] for text in BUILT_IN]
    found = commands(lines, folder)
    assert sorted(folder.rglob("*")) == before, "something was written"
    return {(line[1], line[2]): answer for line, answer in zip(lines, found, strict=True)}


def refused(answer, said):
    assert answer.code == 2, answer
    assert len(answer.err.strip().splitlines()) == 1 and answer.out == ""
    for part in said.split("|"):
        assert part in answer.err, answer.err


@pytest.mark.parametrize("override", SMALL)
def test_a_mistake_in_a_recipe(answers, override):
    refused(answers["small.yaml", override], SMALL[override].removeprefix("small.yaml|"))


@pytest.mark.skipif(not REAL, reason="needs the stages of the built-in recipe")
@pytest.mark.parametrize("override", BUILT_IN)
def test_a_mistake_in_the_built_in_recipe(answers, override):
    refused(answers["instructgpt", override], BUILT_IN[override])


def test_mistakes_in_what_is_named(folder):
    cases = {
        ("run", "instructgtp"): "there is no recipe 'instructgtp'; did you mean 'instructgpt'?",
        ("run", "nowhere.yaml"): "nowhere.yaml: no such file",
        ("run", "double.yaml"): "double.yaml line 12: stages.base: duplicate key, first given in line 5",
        ("run", "list.yaml"): "list.yaml",
        ("run",): "Missing argument",
        ("run", "small.yaml", "--oot", "x"): "--out",
        ("lineage", "nowhere", "ppo"): "nowhere: no run here",
        ("report", "nowhere"): "nowhere: no run here",
        ("compare", "nowhere", "a", "b"): "nowhere: no run here",
        ("chat", "nowhere"): "config.json is missing",
        ("clean", "nowhere"): "nowhere: no run here",
        ("data", "show", "nowhere.jsonl"): "nowhere.jsonl",
        ("data", "show", "empty.jsonl"): "empty",
        ("data", "show", "broken.jsonl", "--rows", "5"): "broken.jsonl:2",
        ("data", "show", "unlike.jsonl"): "unlike.jsonl:1",
        ("data", "show", "broken.jsonl", "--as", "songs"): "it is one of demonstrations",
        ("prove", "dop"): "there is no objective 'dop'; did you mean 'dpo'?",
        ("prove", "pathlib:Path"): "neither a stage",
    }
    before = sorted(folder.rglob("*"))
    for (line, said), answer in zip(cases.items(), commands(list(cases), folder), strict=True):
        assert answer.code == 2 and said in answer.err and "Traceback" not in answer.err, (line, answer)
    assert sorted(folder.rglob("*")) == before


def test_a_memory_that_will_not_do_names_settings_that_would(tmp_path):
    page(tmp_path, folder_model(tmp_path).replace("schema: 1", "schema: 1\nmemory: 0.5"))
    answer = command("run", "small.yaml", folder=tmp_path)
    refused(answer, "stage base would need about 0.65 GiB, and 0.50 GiB may be used; any of these would fit: memory=0.7")


def test_a_run_directory_of_another_recipe_or_in_use_or_that_is_none(tmp_path):
    path = Path(page(tmp_path, folder_model(tmp_path)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").touch()
    (tmp_path / "file").touch()
    Run.open(tmp_path / "other", recipe="another", create=True).close()
    with Run.open(tmp_path / "busy", recipe="small", create=True):
        lines = [["run", path, "--out", name] for name in ("full", "file", "other", "busy")]
        answers = commands(lines, tmp_path)
    for answer, said in zip(answers, ("not empty", "not a directory", "made by the recipe 'another'", "in use by process"), strict=True):
        refused(answer, said)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["note.txt"] and not (tmp_path / "file").read_text()


def test_a_full_disk_is_the_machines_fault_and_the_run_goes_on(tmp_path):
    """The limit on a file's size stands for a disk that fills up: the system refuses the write in the same way."""
    wide = folder_model(tmp_path).replace(f'"{HERE}:Chain", init: sft, rate: 0.03', f'"{HERE}:Chain", init: sft, steps: 200')
    page(tmp_path, wide)
    line = f"ulimit -f 8; trap '' XFSZ; exec {sys.executable} -m tutelage run small.yaml --out out"
    full = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert full.returncode == 1 and "could not be written" in full.stderr and "Traceback" not in full.stderr
    assert "The same command" in full.stderr or "same command" in full.stderr
    after = command("run", "small.yaml", "--out", "out", folder=tmp_path)
    assert after.code == 0 and "base: done" not in after.err and "ppo: done" in after.err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root can't write")
def test_an_unwritable_directory_is_the_machines_fault(tmp_path):
    page(tmp_path, folder_model(tmp_path))
    answer = command("run", "small.yaml", "--out", "/proc/nowhere/run", folder=tmp_path)
    assert answer.code == 1 and "could not be written" in answer.err and "Traceback" not in answer.err


def test_a_bug_of_ours_shows_its_traceback(tmp_path):
    page(tmp_path, folder_model(tmp_path))
    answer = command("run", "small.yaml", "stages.ppo.word=break", folder=tmp_path)
    assert answer.code == 1 and "ZeroDivisionError: a real bug" in answer.err
