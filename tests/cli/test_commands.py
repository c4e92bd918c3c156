"""Every command through the real command line, on runs of tiny stages and on small real models."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.cli.batch import command, commands, environment
from tests.recipes.pages import HERE, folder_model, page

RUN = ["run", "small.yaml", "--out", "out"]
TRAINING = {"sft", "reward", "dpo", "ppo", "grpo"}
COMMANDS = {
    "run",
    *TRAINING,
    "import",
    "plan",
    "doctor",
    "data",
    "label",
    "compare",
    "report",
    "lineage",
    "chat",
    "export",
    "prove",
    "clean",
}
MEASURED = f'  measured: {{method: "{HERE}:Measure", models: [base, sft, ppo]}}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a finished run `out` of small.yaml."""
    folder = tmp_path_factory.mktemp("commands")
    page(folder, folder_model(folder) + MEASURED)
    done = command("run", "small.yaml", "--out", "out", folder=folder)
    assert done.code == 0, done.err
    (folder / "first.txt").write_text(done.out)
    (folder / "notes.txt").write_text(done.err)
    return folder


def test_a_run_closes_with_the_sentence_the_table_the_report_and_three_commands(folder):
    said = (folder / "first.txt").read_text()
    assert "Made up." in said and "Base  " in said and " to " in said and "report.html" in said
    assert "made: base, sft, people, judge, ppo, twin, last, measured" in said and "not made yet" not in said
    following = said.split("Worth trying next:")[1].strip().splitlines()
    assert len(following) == 3
    for line in following:
        assert line.split()[1] in ("chat", "lineage", "report") and "out" in line


def test_progress_goes_to_stderr_and_results_to_stdout(folder):
    assert "ppo begins" in (folder / "notes.txt").read_text() and "ppo begins" not in (folder / "first.txt").read_text()


def test_a_second_run_does_nothing_and_a_changed_setting_says_why(folder):
    again, planned, unchanged = commands(
        [RUN, ["plan", "small.yaml", "stages.ppo.rate=0.2", "--out", "out"], RUN],
        folder,
    )
    assert again.code == 0 and "Nothing to do: all 8 stages in out are whole." in again.out
    assert "rate 0.03 -> 0.2" in planned.out and "comes after twin" in planned.out and planned.out.count("whole") == 4
    assert "Nothing to do" in unchanged.out, "a plan changes nothing"


def test_what_takes_long_shows_its_plan_before_it_begins(folder, tmp_path):
    assert "together" not in (folder / "notes.txt").read_text()
    page(tmp_path, folder_model(tmp_path).replace(f'last:  {{method: "{HERE}:Chain"', f'last:  {{method: "{HERE}:Long"'))
    said = command("run", "small.yaml", "--out", "out", folder=tmp_path).err
    assert "1,000,000,000,000,000" in said and said.index("together") < said.index("last begins")


def test_lineage(folder):
    tree, plain = commands([["lineage", "out", "judge"], ["lineage", "out", "judge", "--json"]], folder)
    assert "ann-01  2" in tree.out and "input text" in tree.out
    assert json.loads(plain.out)["people"] == {"ann-01": 2, "ann-02": 1}


def test_report_and_compare(folder):
    shown, plain, ab, ba, near = commands(
        [
            ["report", "out"],
            ["report", "out", "--json"],
            ["compare", "out", "base", "sft"],
            ["compare", "out", "sft", "base"],
            ["compare", "out", "sft", "pbo"],
        ],
        folder,
    )
    assert "Made up." in shown.out and "Overall  " in shown.out and json.loads(plain.out)["sentence"] == "Made up."
    figure, *_ = json.loads(plain.out)["comparisons"]
    assert (figure["a"], figure["b"]) in (("sft", "base"), ("base", "sft"))
    words = f"{abs(figure['difference']):.2f}"
    ahead, behind = (ab, ba) if (figure["a"] == "base") == (figure["difference"] > 0) else (ba, ab)
    assert "Base \u2212 SFT" in ab.out and "SFT \u2212 Base" in ba.out
    assert f"+{words}" in ahead.out and f"\u2212{words}" in behind.out and "Overall" in ab.out
    assert near.code == 2 and "did you mean 'ppo'?" in near.err


def test_clean_deletes_only_what_nothing_uses_and_only_when_told(tmp_path):
    page(tmp_path, folder_model(tmp_path))
    change = ["run", "small.yaml", "stages.twin.steps=7", "--out", "out"]
    _, _, shown, told, none, back = commands(
        [RUN, change, ["clean", "out"], ["clean", "out", "--yes"], ["clean", "out"], RUN],
        tmp_path,
    )
    assert "twin-" in shown.out and "last-" in shown.out and "ppo-" not in shown.out and "add --yes" in shown.out
    assert "twin-" in told.out and "Nothing to delete" in none.out
    assert "twin: steps 7 -> 6" in back.out and "ppo:" not in back.out


def test_data_show_tells_what_a_file_is(tmp_path):
    rows = {
        "pairs.jsonl": {"prompt": "Hi?", "chosen": "Good day.", "rejected": "No."},
        "shown.jsonl": {"instruction": "Add.", "input": "1 2", "output": "3"},
        "asked.jsonl": {"prompt": "Why?"},
        "texts.jsonl": {"text": "Once upon a time."},
    }
    for name, row in rows.items():
        (tmp_path / name).write_text(json.dumps(row) + "\n")
    pairs, shown, asked, texts = commands([["data", "show", name] for name in rows], tmp_path)
    assert "read as preferences" in pairs.out and "chosen: Good day." in pairs.out and "rejected: No." in pairs.out
    assert "read as demonstrations" in shown.out and "assistant: 3" in shown.out
    assert "read as prompts" in asked.out and "read as documents" in texts.out


def test_doctor_shows_what_will_be_used(folder):
    shown = command("doctor", folder=folder, OMP_NUM_THREADS="1")
    assert shown.code == 0 and "torch" in shown.out and "as OMP_NUM_THREADS says" in shown.out


def test_the_version_is_told(folder):
    answer = commands([["--version"]], folder)[0]
    assert answer.code == 0 and answer.out == f"tutelage {version('tutelage')}\n"


def test_every_command_has_help(folder):
    top = commands([["--help"]], folder)[0].out
    names = [line.split()[0] for line in top.split("Commands:")[1].strip().splitlines() if line.startswith("  ") or line[0].isalpha()]
    assert {
        "run",
        "sft",
        "reward",
        "dpo",
        "ppo",
        "grpo",
        "plan",
        "doctor",
        "data",
        "compare",
        "report",
        "lineage",
        "chat",
        "prove",
        "clean",
    } <= set(names)
    for name, answer in zip(names, commands([[name, "--help"] for name in names], folder), strict=True):
        assert answer.code == 0 and "Usage:" in answer.out, name


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """A real model folder with a few words."""
    from tutelage.models import create, tokenizer

    words = tokenizer.words(["name", "one", "animal", ".", "dog", "cat", "hen", "goat"], 64)
    folder = tmp_path_factory.mktemp("model") / "model"
    create.new("nano", words, seed=0).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def test_chat_and_data_show_with_a_real_model(small_model, tmp_path):
    (tmp_path / "shown.jsonl").write_text('{"prompt": "name one animal .", "completion": "dog"}\n')
    first, again, other, seen = commands(
        [
            ["chat", small_model, "--say", "name one animal .", "--max-tokens", "6"],
            ["chat", small_model, "--say", "name one animal .", "--max-tokens", "6"],
            ["chat", small_model, "--say", "name one animal .", "--max-tokens", "6", "--seed", "1"],
            ["data", "show", "shown.jsonl", "--model", small_model],
        ],
        tmp_path,
    )
    assert first.code == 0 and first.out == again.out and first.out != other.out and first.out.strip()
    assert seen.code == 0 and "dog" in seen.out and "<|end|>" in seen.out and "trained only read" in seen.out and "2 (25.0%)" in seen.out


def test_grpo_on_a_model_and_a_rule_of_ones_own(small_model, tmp_path):
    (tmp_path / "asked.jsonl").write_text('{"prompt": "name one animal ."}\n')
    (tmp_path / "mine.py").write_text("def first(prompt, response):\n    return float(response.text.startswith('dog'))\n")
    settings = ["split=all", "probe_every=0", "updates=1", "max_tokens=4", "rollouts={prompts: 2, samples: 4}"]
    line = ["grpo", small_model, "asked.jsonl", "--reward"]
    made, wrong = commands([[*line, "mine:first", *settings, "--out", "run"], [*line, "mine:frist", *settings]], tmp_path)
    assert made.code == 0 and list(tmp_path.glob("run/artifacts/grpo-*/model/config.json")), made.err
    assert wrong.code == 2 and "module mine has no function 'frist'" in wrong.err and not (tmp_path / "runs").exists()


def test_prove_dpo(tmp_path):
    proved = command("prove", "dpo", "--shape", "llama", folder=tmp_path)
    assert proved.code == 0, proved.out + proved.err
    assert "split" in proved.out and "holds" in proved.out and "FAILS" not in proved.out


def test_prove_sees_a_fault_in_an_objective_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from tutelage.objectives.dpo import DPO\n"
        "@dataclass(frozen=True)\n"
        "class Mean(DPO):\n"
        "    def loss(self, read, batch):\n"
        "        sums = super().loss(read, batch)\n"
        "        return {**sums, 'preference': sums['preference'] / batch.trees}\n"
    )
    proved = command("prove", "mine:Mean", "--shape", "llama", folder=tmp_path)
    assert proved.code == 1 and "FAILS" in proved.out and "Traceback" not in proved.err


def test_the_command_line_is_read_without_what_trains():
    """Every command would wait for it: seconds."""
    code = "import sys, tutelage.cli.app; print(*{'transformers', 'peft', 'bitsandbytes', 'huggingface_hub'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
