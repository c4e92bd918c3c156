"""`tutelage export` on the command line, and onto a hub that is a server of ours."""

import os
import pty
import subprocess
import sys

import pytest

from tests.cli.batch import command, commands
from tests.recipes import hub, small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    small_run.finished(folder)
    return folder


@pytest.fixture
def served(monkeypatch):
    with hub.serving() as server:
        told = {"HF_ENDPOINT": server.address, "HF_TOKEN": server.token, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*", "no_proxy": "*"}
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        yield server


def push(folder, *more):
    return ["export", "run", "sft", "--to", "out", "--force", "--push", "me/first", *more]


def test_it_says_what_it_wrote_and_refuses_in_a_sentence(folder):
    made, again, lora, reward = commands(
        [
            ["export", "run", "sft", "--to", "made", "--shard-size", "20KB"],
            ["export", "run", "sft", "--to", "made"],
            ["export", "run", "lora", "--to", "lora", "--as", "adapter"],
            ["export", "run", "judge", "--to", "judge", "--commercial"],
        ],
        folder,
    )
    assert made.code == 0 and "model-00001-of-" in made.out and "README.md" in made.out and "in made" in made.out
    assert again.code == 2 and again.err.strip().count("\n") == 0 and "made: already there" in again.err
    assert lora.code == 0 and "adapter_model.safetensors" in lora.out and "name it with --base" in lora.err
    assert reward.code == 0 and "score.json" in reward.out, "every license behind it is free"


def test_commercial_refuses_with_name_and_stage(folder, tmp_path):
    small_run.model(tmp_path / "base")
    small_run.page(tmp_path, "{demonstrations: cc-by-nc-4.0}")
    ran, refused = commands(
        [["run", "small.yaml", "--out", "run"], ["export", "run", "lora", "--to", "out", "--commercial"]],
        tmp_path,
    )
    assert ran.code == 0, ran.err
    assert refused.code == 2 and not (tmp_path / "out").exists()
    assert "demonstrations (shown.jsonl) (cc-by-nc-4.0: not for commercial use), through sft and lora" in refused.err
    assert "model (base) (no license is stated), through sft" in refused.err and "preferences" not in refused.err


def test_a_push_needs_a_yes(folder, served):
    done = command(*push(folder), folder=folder)
    assert done.code == 2 and "nothing was uploaded: there is nobody to ask here" in done.err
    assert f"To {served.address[7:]}, repository me/first (new and private):" in done.out and "files, " in done.out
    assert not served.repositories and not served.heard


@pytest.mark.parametrize("answer", ["y", "n"])
def test_it_asks_on_a_terminal(folder, served, answer):
    primary, secondary = pty.openpty()
    words = [sys.executable, "-m", "tutelage", *push(folder)]
    started = subprocess.Popen(words, cwd=folder, stdin=secondary, stdout=secondary, stderr=secondary, env=dict(os.environ))
    os.close(secondary)
    seen = b""
    while b"Upload?" not in seen:
        seen += os.read(primary, 1000)
    os.write(primary, f"{answer}\n".encode())
    while True:
        try:
            seen += os.read(primary, 1000)
        except OSError:  # the other side is closed
            break
    assert started.wait(60) == 0, seen
    assert (b"Nothing was uploaded" in seen) == (answer == "n") and bool(served.files) == (answer == "y")


def test_every_file_arrives_as_it_is_and_the_repository_is_private(folder, served):
    done = command(*push(folder, "--yes"), folder=folder)
    assert done.code == 0, done.err
    there = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    assert {name.removeprefix("me/first/"): content for name, content in served.files.items()} == there
    assert served.repositories == {"me/first": True} and len(served.large) == 1 and "Uploaded: " in done.out


def test_what_is_there_and_public_is_said_before(folder, served):
    served.repositories["me/first"] = False
    done = command(*push(folder, "--yes"), folder=folder)
    assert done.code == 0 and "(there already and public: everyone can read it)" in done.out
    assert served.repositories["me/first"] is False and "/api/repos/create" not in served.heard


def test_refusals_of_a_hub_are_sentences(folder, served, monkeypatch):
    cases = [
        ({"HF_TOKEN": "hf_wrong"}, 2, "--push me/first: the hub refuses this token (403)"),
        ({"HF_HUB_OFFLINE": "1"}, 2, "--push: HF_HUB_OFFLINE is set"),
        ({"HF_TOKEN": "", "HF_HOME": str(folder / "nobody")}, 2, "--push: no token of the hub here; set HF_TOKEN"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, 1, "--push me/first: "),
    ]
    for told, code, sentence in cases:
        with monkeypatch.context() as patched:
            for name, value in told.items():
                patched.setenv(name, value)
            done = command(*push(folder, "--yes"), folder=folder)
        assert done.code == code and sentence in done.err and "Traceback" not in done.err, (told, done.err)
    assert not served.files
    done = command("export", "run", "sft", "--to", "out", "--push", "first", folder=folder)
    assert done.code == 2 and "a repository is written OWNER/NAME" in done.err
