"""From a hub id to a whole folder in the cache, through huggingface_hub itself, from a server that answers as the hub does."""

import os
from pathlib import Path

import pytest

from tests.hub import TOKEN, Hub
from tests.models.hub.conftest import sharded
from tutelage.core.errors import UserError
from tutelage.models.hub.name import HubName, hub_name
from tutelage.models.hub.snapshot import Pin, Snapshot, complete, look_up

NAME = HubName("someone/model")
SECOND = "model-00002-of-00002.safetensors"


def bring(name: HubName = NAME, pin: Pin | None = None) -> tuple[Snapshot, list[str]]:
    """Look up and fetch; what was said meanwhile."""
    said: list[str] = []
    found = look_up(name, pin, "recipe.yaml line 2: model", said.append)
    complete(found, said.append)
    return found, said


def refused(name: HubName = NAME, pin: Pin | None = None) -> str:
    with pytest.raises(UserError) as error:
        bring(name, pin)
    assert "\n" not in str(error.value) and str(error.value).startswith("recipe.yaml line 2: model: ")
    return str(error.value)


@pytest.mark.parametrize(
    "given, meant",
    [
        ("Qwen/Qwen3-8B", HubName("Qwen/Qwen3-8B", "main")),
        ("Qwen/Qwen3-8B@v1.0", HubName("Qwen/Qwen3-8B", "v1.0")),
        ("Qwen/Qwen3-8B@refs/pr/3", HubName("Qwen/Qwen3-8B", "refs/pr/3")),
        ("Qwen/Qwen3-8B@", None),
        ("Qwen/Qwen3-8B@a@b", None),
        ("Qwen", None),
        ("a/b/c", None),
        ("./models/mine", None),
        ("../mine", None),
        ("/data/mine", None),
    ],
)
def test_what_is_a_hub_id(given: str, meant: HubName | None) -> None:
    assert hub_name(given) == meant


def test_a_plan_fetches_no_weights_and_a_run_only_what_it_needs(hub: Hub) -> None:
    commit = hub.push("someone/model", sharded())
    said: list[str] = []
    found = look_up(NAME, None, "model", said.append)
    small = {"config.json", "generation_config.json", "model.safetensors.index.json"}
    small |= {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert set(hub.fetched()) == small and found.commit == commit
    complete(found, said.append)
    assert {p.name for p in found.folder.iterdir()} == {*small, "model-00001-of-00002.safetensors", SECOND}
    host = hub.address.removeprefix("http://")
    assert said[0].startswith(f"from {host}: someone/model at main, commit {commit[:12]}: config and tokenizer, 6 files, ")
    assert said[1].startswith(f"from {host}: someone/model at main, commit {commit[:12]}: weights, 2 files, 2.1 kB") and len(said) == 2


def test_what_will_be_fetched_is_said_before_it_is(hub: Hub) -> None:
    hub.push("someone/model", sharded())
    seen: list[int] = []
    complete(look_up(NAME, None, "model", lambda line: seen.append(len(hub.fetched()))), lambda line: seen.append(len(hub.fetched())))
    assert seen == [0, 6] and len(hub.fetched()) == 8


def test_a_second_start_asks_for_nothing_but_where_the_branch_is(hub: Hub) -> None:
    hub.push("someone/model", sharded())
    found, _ = bring()
    hub.asked.clear()
    again, said = bring(pin=found.pin)
    assert again.folder == found.folder and not said
    assert [(method, path) for method, path, _ in hub.asked] == [("GET", "/api/models/someone/model/revision/main")]


def test_a_branch_that_moved_is_said_and_the_run_goes_on_with_what_it_began_with(hub: Hub) -> None:
    hub.push("someone/model", sharded())
    found, _ = bring()
    moved = hub.push("someone/model", sharded(**{"README.md": b"another"}))
    again, said = bring(pin=found.pin)
    assert again.commit == found.commit and again.folder == found.folder
    assert len(said) == 1 and f"main of someone/model has moved to {moved[:12]}" in said[0] and found.commit[:12] in said[0]
    assert bring()[0].commit == moved, "a new run begins with what the branch is now"


def test_the_pinned_commit_is_fetched_where_the_cache_lost_it(hub: Hub, tmp_path: Path) -> None:
    hub.push("someone/model", sharded())
    found, _ = bring()
    hub.push("someone/model", {"config.json": b"{}", "model.safetensors": b"", "tokenizer.json": b"{}"})
    os.rename(tmp_path / "cache", tmp_path / "lost")
    again, said = bring(pin=found.pin)
    assert again.commit == found.commit and (again.folder / SECOND).read_bytes() == sharded()[SECOND] and len(said) == 3


def test_what_a_pinned_run_fetches_again_is_held_to_the_hash_too(hub: Hub) -> None:
    hub.push("someone/model", sharded())
    found, _ = bring()
    os.truncate(found.folder / SECOND, 700)
    hub.swapped[SECOND] = sharded()[SECOND][:-1] + b"\x01"
    assert "came with another content than its SHA-256" in refused(pin=found.pin)
    hub.swapped.clear()
    os.truncate(found.folder / "tokenizer_config.json", 3)
    again, _ = bring(pin=found.pin)
    assert all((again.folder / file).read_bytes() == sharded()[file] for file in (SECOND, "tokenizer_config.json"))


def test_a_tag_a_branch_and_a_commit(hub: Hub) -> None:
    first = hub.push("someone/model", sharded(), branch="v1.0")
    hub.push("someone/model", sharded(**{"README.md": b"later"}))
    assert bring(HubName("someone/model", "v1.0"))[0].commit == first == bring(HubName("someone/model", first))[0].commit
    hub.asked.clear()
    found, _ = bring(HubName("someone/model", first))
    hub.asked.clear()
    bring(HubName("someone/model", first), found.pin)
    assert not hub.asked, "a commit can't move, so nobody is asked"


def test_offline_takes_the_copy_of_the_cache_and_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("someone/model", sharded())
    found, _ = bring()
    hub.asked.clear()
    monkeypatch.setenv("TUTELAGE_OFFLINE", "1")
    again, said = bring()
    assert again.folder == found.folder and said == [f"offline: someone/model@main is the cache's copy, commit {found.commit[:12]}"]
    assert bring(pin=found.pin)[1] == [] and not hub.asked
    assert "`hf download someone/other` brings it" in refused(HubName("someone/other"))
    (found.folder / SECOND).unlink()
    assert f"lacks {SECOND} (--offline); `hf download someone/model` brings it" in refused()
    assert f"{SECOND} of someone/model@main is not there in the cache" in refused(pin=found.pin)


def test_no_such_repository_and_no_such_revision(hub: Hub) -> None:
    hub.push("someone/model", sharded(), branch="v1.0")
    host = hub.address.removeprefix("http://")
    assert f"there is no folder nobody/nothing, and {host} has no model of that name" in refused(HubName("nobody/nothing"))
    assert "someone/model has no revision 'v1.1'; did you mean 'v1.0'?" in refused(HubName("someone/model", "v1.1"))


def test_a_name_that_no_hub_could_have(hub: Hub) -> None:
    assert "there is no folder some..one/model, and it is no hub id" in refused(HubName("some..one/model"))


def test_a_gated_repository_names_its_licence_page(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("someone/model", sharded())
    hub.repositories["someone/model"].gated = True
    assert f"is gated: accept its licence at {hub.address}/someone/model, then set HF_TOKEN" in refused()
    monkeypatch.setenv("HF_TOKEN", "hf_without_access")
    assert f"this HF_TOKEN has no access yet; ask for it at {hub.address}/someone/model" in refused()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert bring()[0].folder.is_dir()
    large = [token for _, path, token in hub.asked if path.startswith("/large")]
    assert large and set(large) == {""}, "the token stays with the hub; the host of large files never sees it"


def test_tokens_that_are_wrong_and_repositories_that_are_private(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("someone/model", sharded())
    hub.repositories["someone/model"].private = True
    assert "it is private (set HF_TOKEN)" in refused()
    monkeypatch.setenv("HF_TOKEN", "hf_without_access")
    assert "this HF_TOKEN may not read it" in refused()
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    assert f"doesn't accept this HF_TOKEN; make a new one at {hub.address}/settings/tokens" in refused()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert bring()[0].folder.is_dir()


def test_nobody_answers(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("someone/model", sharded())
    found, _ = bring()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    told = refused()
    assert "127.0.0.1:9 can't be reached (ConnectError)" in told and "--offline" in told and "`hf download someone/model`" in told
    again, said = bring(pin=found.pin)
    assert again.folder == found.folder and len(said) == 1 and "this run goes on with commit" in said[0]


@pytest.mark.parametrize("status, means", [(403, "doesn't let this HF_TOKEN"), (404, "answered 404"), (500, "answered 500")])
def test_answers_that_are_none(hub: Hub, status: int, means: str) -> None:
    hub.push("someone/model", sharded())
    hub.status = status
    assert means in refused()


def test_a_shard_that_comes_cut_is_named_and_not_kept(hub: Hub) -> None:
    hub.push("someone/model", sharded())
    hub.cut[SECOND] = 500
    assert f"{SECOND} of someone/model@main came incomplete" in refused()
    hub.cut.clear()
    assert (bring()[0].folder / SECOND).read_bytes() == sharded()[SECOND]


def test_a_shard_with_another_content_is_removed(hub: Hub) -> None:
    hub.push("someone/model", sharded())
    good = sharded()[SECOND]
    hub.swapped[SECOND] = good[:-1] + b"\x01"
    assert f"{SECOND} of someone/model@main came with another content than its SHA-256" in refused()
    hub.swapped.clear()
    assert (bring()[0].folder / SECOND).read_bytes() == good


def test_a_shard_cut_in_the_cache_is_fetched_again_or_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("someone/model", sharded())
    found, _ = bring()
    os.truncate(found.folder / SECOND, 700)
    monkeypatch.setenv("TUTELAGE_OFFLINE", "1")
    assert f"{SECOND} of someone/model@main has 700 bytes where its header says" in refused()
    assert "--force-download" in refused(pin=found.pin)
    monkeypatch.delenv("TUTELAGE_OFFLINE")
    _, said = bring(pin=found.pin)
    assert f"{SECOND} of someone/model@main has 700 bytes" in said[0] and "fetched again" in said[0] and "weights, 1 file," in said[1]
    assert (found.folder / SECOND).read_bytes() == sharded()[SECOND]


def test_a_shard_that_is_cut_on_the_hub_itself(hub: Hub) -> None:
    hub.push("someone/model", sharded(**{SECOND: sharded()[SECOND][:-8]}))
    assert "bytes where its header says" in refused() and "give another revision" in refused()


@pytest.mark.parametrize(
    "lost, more, means",
    [
        (("model.safetensors.index.json",), {}, "holds its weights only as pytorch_model.bin, which is not read"),
        (("model.safetensors.index.json", "pytorch_model.bin"), {"model.gguf": b""}, "holds no weights in safetensors"),
        (("config.json",), {"adapter_config.json": b"{}"}, "holds only an adapter"),
        (("config.json",), {}, "holds no config.json"),
        (("tokenizer.json",), {"tokenizer.model": b""}, "holds no tokenizer.json"),
        ((SECOND,), {}, f"names {SECOND}, which is not in the repository"),
        ((), {"model.safetensors.index.json": b"[]"}, "model.safetensors.index.json says of no weights in which file they are"),
    ],
)
def test_repositories_that_hold_no_model_are_refused_before_weights_are_fetched(
    hub: Hub, lost: tuple[str, ...], more: dict[str, bytes], means: str
) -> None:
    files = {file: data for file, data in sharded().items() if file not in lost}
    hub.push("someone/model", {**files, **more})
    assert means in refused() and not any(file.endswith((".safetensors", ".bin")) for file in hub.fetched())


def test_what_has_no_room_is_not_begun(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("someone/model", sharded())
    monkeypatch.setattr("tutelage.models.hub.files.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1500}))
    assert "don't fit into" in refused() and "1.5 kB are free; set HF_HOME" in refused() and SECOND not in hub.fetched()
