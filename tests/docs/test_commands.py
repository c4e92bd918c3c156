"""Every command that the documentation shows is run, or parsed with a reason why it isn't run; a new one that nobody placed fails.

A line is run as it is written but for what makes it short (`MORE`) and for the files that stand behind its placeholders.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from tests.cli.batch import ROOT, Answer, commands, environment
from tests.docs.lines import PAGES, Line, alternatives, every_line, mentioned, shown
from tests.feedback.crowd import rankings
from tests.feedback.foreign import samples
from tutelage.cli.app import app
from tutelage.feedback.store import Store

SMALL = ["model.new=nano", "stages.base.tokens=8000", "stages.preferences.count=48", "stages.ppo.updates=1", "stages.evaluate.count=24"]
TRAINED = ["epochs=1", "machine.micro_tokens=512"]
ASSISTANT = "tutelage run assistant inputs.demonstrations=PATH inputs.preferences=PATH inputs.prompts=PATH"

RUN: Mapping[str, Mapping[str, list[str]]] = {
    "world": {
        "tutelage run instructgpt --out runs/demo": SMALL,
        "tutelage plan instructgpt stages.ppo.kl_coef=0.1 --out runs/demo": SMALL,
        "tutelage run instructgpt stages.ppo.kl_coef=0.1 --out runs/demo": SMALL,
        "tutelage run instructgpt 'stages.reward_model.preferences={from: preferences, without: [ann-07]}' --out runs/demo": SMALL,
        "tutelage run instructgpt 'stages.dpo={method: simpo:SimPO, init: sft, preferences: preferences, beta: 2.0, gamma: 1.0}' "
        "--out runs/demo": SMALL,
        "tutelage report runs/demo": [],
        "tutelage compare runs/demo ppo sft": [],
        "tutelage lineage runs/demo ppo": [],
        "tutelage chat runs/demo ppo": [],
    },
    "proofs": {
        "tutelage prove dpo": ["--shape", "llama", "--adapter", "none"],
        "tutelage prove dpo --shape llama --adapter lora": [],
        "tutelage prove dpo --shape qwen3 --shape gemma3 --adapter dora": [],
        "tutelage prove simpo:SimPO": ["--shape", "llama", "--adapter", "none"],
        "tutelage prove my.module:MyObjective": ["--shape", "llama", "--adapter", "none"],
        "tutelage doctor": [],
    },
    "files": {
        "tutelage data show FILE": [],
        "tutelage data show FILE --model DIR": [],
        "tutelage data show FILE --as prompts --rows 10": [],
        "tutelage sft MODEL DATA": TRAINED,
        "tutelage reward MODEL DATA": TRAINED,
        "tutelage dpo MODEL DATA": TRAINED,
        "PYTHONPATH=. tutelage ppo MODEL PROMPTS --reward my.module:function": [
            "split=all", "probe_every=0", "updates=1", "max_tokens=4", "rollouts={prompts: 2, samples: 2, minibatches: 1}"
        ],
        "tutelage plan assistant model=DIR inputs.demonstrations=PATH inputs.preferences=PATH inputs.prompts=PATH": [],
        "tutelage plan assistant model=DIR inputs.demonstrations=PATH inputs.preferences=PATH inputs.prompts=PATH --processes 8": [],
    },
    "study": {
        "tutelage label invite study.yaml ann-01": [],
        "tutelage label invite study.yaml ann-03": [],
        "tutelage label stats study.yaml": [],
        "tutelage label import FILE --store s.sqlite": [],
        "tutelage label erase study.yaml ann-03": [],
        "tutelage label erase study.yaml ann-03 --yes": [],
    },
}  # fmt: skip
"""By scenario, in the order in which they are run: the line, and what is added."""

FOLLOWED = "tests/cli/test_label_files.py follows the page to the letter"
MOVED = "tests/recipes/test_moving.py imports the page's own configurations, and command lines of TRL"
EXPORTED = "tests/cli/test_export.py and tests/recipes/test_exporting.py, with a stand-in for the hub"
SERVED = "tests/feedback/site and tests/long/test_wheel.py open the site and follow its links; here it would wait for people"
FEWER = "tests/long/test_torchrun.py and test_sharded.py, with fewer processes"
LONG = "minutes to hours on a quiet machine; its figures stand on the page"
PARSED: Mapping[str, str] = {
    "tutelage label import argilla.json --dry-run": FOLLOWED,
    "tutelage reward MODEL argilla.json": FOLLOWED,
    "tutelage run page.yaml --out runs/page": FOLLOWED,
    "tutelage label import argilla.json --store study.sqlite": FOLLOWED,
    "tutelage label export study.sqlite --as preference --out pairs.jsonl": FOLLOWED,
    "tutelage label export study.sqlite --as argilla --out again.json": FOLLOWED,
    "tutelage run page.yaml inputs.preferences=study.sqlite 'stages.reward_model.preferences={from: preferences, without: [b]}' "
    "--out runs/without": FOLLOWED,
    "tutelage label study.yaml": SERVED,
    "tutelage label study.yaml --port 8017 --url https://label.example.org": SERVED,
    "tutelage run RECIPE --out DIR --host 127.0.0.1 --port 8017 --url https://label.example.org": "tests/recipes/test_people.py waits so",
    "tutelage prove": "all of it: the tests of tests/engine/test_invariants.py",
    f"{ASSISTANT} model=DIR": "test_recipes_of_files plans it; tests/recipes trains its stages",
    f"{ASSISTANT} '[inputs.text=PATH]' model=DIR": "brackets mark what may be left out",
    "tutelage run assistant inputs.demonstrations=sft_dolly_3k.jsonl.gz inputs.preferences=pref_hh_harmless.jsonl.gz "
    "inputs.prompts=sft_dolly_3k.jsonl.gz inputs.text=text_wikitext2.jsonl.gz model=english-14m": LONG,
    "torchrun --standalone --nproc-per-node 8 -m tutelage run RECIPE --out DIR": FEWER,
    "tutelage import axolotl.yml": MOVED,
    "tutelage import llamafactory.yaml --gpus 8 --out dpo.yaml": MOVED,
    "tutelage import trl sft --model_name_or_path DIR --dataset_name rows.jsonl --use_peft": MOVED,
    "tutelage import trl dpo --config dpo_config.yaml --beta 0.2": MOVED,
    "tutelage export runs/assistant dpo --to out/plain": EXPORTED,
    "tutelage export runs/assistant dpo --to out/adapter --as adapter": EXPORTED,
    "tutelage export runs/assistant dpo --to out/file --as gguf --dtype q8_0": EXPORTED,
    "tutelage export runs/assistant dpo --to out/plain --force --push me/my-model": EXPORTED,
    "tutelage prove ppo --adapter nf4 --adapter int8": "tests/engine/test_invariants.py",
}
"""Lines of `tutelage` that are not run here, and why."""
OTHERS = {
    "python": "a module of this repository with these options: looked up, not run; its figures take hours",
    "make": "a target of the Makefile: looked up",
    "pip": "tests/long/test_wheel.py installs the wheel",
    "git": "brings this repository",
    "cd": "goes there",
    "curl": "tests/feedback/site asks the same of /api",
    "docker": "needs docker; the file's stages are those of docs/install.md",
}
"""Programs that are not `tutelage`."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the placeholders of the pages stand for, under these very names."""
    from tutelage.models import create, tokenizer

    folder = tmp_path_factory.mktemp("docs")
    animals = ["dog", "cat", "hen", "goat"]
    words = tokenizer.words(["name", "animal", ".", *animals, *map(str, range(40))], 96)
    for name in ("MODEL", "DIR"):
        create.new("nano", words, seed=0).save_pretrained(folder / name)
        words.save_pretrained(folder / name)
    asked = [f"name animal {n} ." for n in range(40)]
    rows = [{"prompt": text, "completion": animals[n % 4]} for n, text in enumerate(asked)]
    pairs = [{"prompt": text, "chosen": "dog", "rejected": "cat hen"} for text in asked]
    for name, held in {"FILE": rows, "demos": rows, "pairs": pairs, "PROMPTS": [{"prompt": text} for text in asked]}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
    items = [{"prompt": text, "responses": animals[:2]} for text in asked[:4]]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in items))
    (folder / "guidelines.md").write_text("Be kind.\n")
    (page,) = re.findall(r"```yaml\n(schema: 1\ntitle.*?)```", (ROOT / "docs" / "labelling.md").read_text(), re.DOTALL)
    (folder / "study.yaml").write_text(page)
    Store(folder / "study.sqlite").append(rankings(0, prompts=20, people=("ann-02", "ann-03"), tie=0.1))
    shutil.copy(ROOT / "tests" / "outsider" / "simpo.py", folder)
    (folder / "my").mkdir()
    objective = (folder / "simpo.py").read_text().replace("class SimPO", "class MyObjective")
    (rule,) = re.findall(r"```python\n# my/module.py\n(.*?)```", (ROOT / "docs" / "your-data.md").read_text(), re.DOTALL)
    (folder / "my" / "module.py").write_text(f"{objective}\n\n{rule}")
    return folder


STANDS_FOR = {
    "FILE": "FILE.jsonl",
    "PROMPTS": "PROMPTS.jsonl",
    "inputs.demonstrations=PATH": "inputs.demonstrations=demos.jsonl",
    "inputs.preferences=PATH": "inputs.preferences=pairs.jsonl",
    "inputs.prompts=PATH": "inputs.prompts=PROMPTS.jsonl",
}


def arguments(text: str, more: list[str]) -> list[str]:
    """What the command line is given: the line's words, files behind the placeholders, and what makes it short."""
    words = Line("", text).words[1:]
    data = {"DATA": "demos.jsonl" if words[0] == "sft" else "pairs.jsonl"}
    file = {"FILE": "pairs.jsonl"} if words[:2] == ["label", "import"] else {}
    return [{**STANDS_FOR, **data, **file}.get(word, word) for word in words] + more


def followed(scenario: str, folder: Path) -> dict[str, Answer]:
    """Every line of a scenario, in a process; all must end well."""
    lines = RUN[scenario]
    done = commands([arguments(text, more) for text, more in lines.items()], folder)
    for text, answer in zip(lines, done, strict=True):
        assert answer.code == 0, (text, answer.out[-500:], answer.err[-2000:])
    return dict(zip(lines, done))


def test_every_line_has_its_place() -> None:
    """A new command in a page: into RUN with what makes it short, or into PARSED with the reason why it isn't run."""
    run = [text for lines in RUN.values() for text in lines]
    placed = [*run, *PARSED]
    assert len(placed) == len(set(placed)), "a line is in one list only"
    found = {line.text for line in every_line() if line.words[0] in ("tutelage", "torchrun")}
    assert found - set(placed) == set(), test_every_line_has_its_place.__doc__
    assert set(placed) - found == {"tutelage label invite study.yaml ann-03"}, "no page shows these any more"
    others = {line.words[0] for line in every_line()} - {"tutelage", "torchrun"}
    assert others <= OTHERS.keys(), f"say in OTHERS what is done about {others - OTHERS.keys()}"


def parsed(words: list[str], whole: bool = True) -> None:
    """Parse a command line as the real one does, without running it. `whole` False: arguments may be missing."""
    command, words = get_command(app), words[1:]
    context = typer.Context(command, info_name="tutelage")  # type: ignore[arg-type]
    while hasattr(command, "commands") and words:
        if words[0].endswith(".yaml") and "serve" in command.commands:
            words = ["serve", *words]
        assert words[0] in command.commands, f"there is no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    if not whole and not words:
        return
    try:
        command.make_context(command.name, words, parent=context)
    except Exception as error:
        missing = type(error).__name__ in ("MissingParameter", "NoArgsIsHelpError")
        assert missing and not whole, f"{command.name} {words}: {error!r}"


def test_every_command_parses() -> None:
    for line in every_line():
        if line.words[0] == "torchrun":
            parsed(line.words[line.words.index("tutelage") :])
        elif line.words[0] == "tutelage":
            parsed(line.words)


def test_commands_in_sentences_exist_with_their_options() -> None:
    found = [line for page in PAGES for line in mentioned(page)]
    assert len(found) > 20
    for line in found:
        parsed(line.words, whole=False)


@pytest.mark.parametrize("words", [["tutelage", "runn"], ["tutelage", "run", "x", "--outt", "y"], ["tutelage", "sft", "MODEL"]])
def test_a_wrong_command_is_seen(words: list[str]) -> None:
    with pytest.raises(AssertionError):
        parsed(words)


def test_lines_are_found_as_they_are_meant(tmp_path: Path) -> None:
    page = tmp_path / "p.md"
    page.write_text("```sh\nA=1 tutelage run x \\\n  y=1   # why\ngit clone z && cd z\n```\nSay `tutelage sft|dpo A` or `make`.\n")
    assert [line.text for line in shown(page)] == ["A=1 tutelage run x y=1", "git clone z", "cd z"]
    assert shown(page)[0].words == ["tutelage", "run", "x", "y=1"]
    assert [line.text for line in mentioned(page)] == ["tutelage sft A", "tutelage dpo A"]
    assert alternatives("tutelage label") == ["tutelage label"]


def test_modules_and_targets_are_there_with_their_options() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in every_line():
        if line.words[0] == "make":
            assert line.words[1] in targets, line
        elif line.words[0] == "python":
            assert line.words[1] == "-m", line
            source = source_of(line.words[2])
            unknown = [word for word in line.words[3:] if word.startswith("--") and f'"{word}"' not in source]
            assert not unknown, f"{line.text}: {unknown}"


def source_of(module: str) -> str:
    """The text of a module of this repository that can be run, and of what lies beside it."""
    path = ROOT / ("src" if module.startswith("tutelage") else ".") / module.replace(".", "/")
    files = [path.with_suffix(".py")] if path.with_suffix(".py").exists() else sorted(path.glob("*.py"))
    assert files, f"there is no module {module}"
    texts = [file.read_text() for file in files]
    assert any("__main__" in text or file.name == "__main__.py" for file, text in zip(files, texts)), module
    assert all(ast.parse(text) for text in texts)
    return "\n".join(texts)


def test_recipes_of_files(folder: Path) -> None:
    """What the pages show of the built-in recipe `assistant`, checked whole on files under these names."""
    answers = followed("files", folder)
    assert "trained" in answers["tutelage data show FILE --model DIR"].out
    for stage in ("sft", "reward", "dpo", "ppo"):
        assert list(folder.glob(f"runs/{stage}/artifacts/{stage}-*/model/config.json")), stage


def test_a_study(folder: Path) -> None:
    answers = followed("study", folder)
    assert "/join/" in answers["tutelage label invite study.yaml ann-01"].out
    assert "40 read, 40 added" in answers["tutelage label import FILE --store s.sqlite"].out
    assert "are empty" in answers["tutelage label erase study.yaml ann-03 --yes"].out


def test_recipes_in_the_pages_are_accepted(folder: Path) -> None:
    """Every ```yaml block that is a whole recipe, but for those of coming-over.md: they name models of a hub, and MOVED runs them."""
    pages = [page for page in PAGES if page.name != "coming-over.md"]
    found = [(page, text) for page in pages for text in re.findall(r"^```yaml\n(schema: 1\n.*?)^```", page.read_text(), re.M | re.S)]
    recipes = [(page, text) for page, text in found if "\nstages:" in text]
    assert len(recipes) >= 2
    (folder / "argilla.json").write_text(json.dumps(samples.argilla()))
    for number, (_, text) in enumerate(recipes):
        (folder / f"page{number}.yaml").write_text(text)
    planned = commands([["plan", f"page{n}.yaml"] for n in range(len(recipes))], folder)
    for (page, _), answer in zip(recipes, planned, strict=True):
        assert answer.code == 0, (page.name, answer.err)


@pytest.mark.long
def test_the_built_in_world(folder: Path) -> None:
    """The first hour, nano: minutes."""
    answers = followed("world", folder)
    assert "kl_coef 0.3 -> 0.1" in answers["tutelage plan instructgpt stages.ppo.kl_coef=0.1 --out runs/demo"].out
    assert "Report: runs/demo" in answers["tutelage run instructgpt --out runs/demo"].out
    assert "annotators" in answers["tutelage lineage runs/demo ppo"].out


@pytest.mark.long
def test_proofs(folder: Path) -> None:
    for text, answer in followed("proofs", folder).items():
        assert "FAILS" not in answer.out, text


def test_python_on_the_page_of_the_first_hour_compiles() -> None:
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
            compile(block, page.name, "exec")


def test_the_handbook_command_says_what_it_wants(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tutelage.recipes.handbook", "nowhere"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode and "the one with methods.md" in done.stderr
