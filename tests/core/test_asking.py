"""Against a real HTTP server in a process of its own, which fails as it is told."""

import time

import pytest

from tests.standin import Running, running
from tutelage.core.asking import Asking, Request
from tutelage.core.endpoint import Endpoint
from tutelage.core.errors import Interrupted, UserError

KEY = "sk-very-secret-0123456789"


@pytest.fixture(scope="module")
def server():
    with running("--key", KEY) as found:
        yield found


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)


def endpoint(server: Running, **changes) -> Endpoint:
    return Endpoint(**{"url": server.url, "model": "tiny", "key": "JUDGE_KEY", "tries": 3, **changes})


@pytest.mark.parametrize("place", ["127.0.0.1:8000", "localhost", "[::1]:9"])
def test_offline_a_program_on_this_machine_may_be_asked(place, monkeypatch):
    monkeypatch.setenv("TUTELAGE_OFFLINE", "1")
    Asking(Endpoint(f"http://{place}/v1", "tiny"))


@pytest.mark.parametrize("place", ["api.example.com", "10.0.0.7:8000", "localhost.example.com"])
def test_offline_nobody_else_is_asked(place, monkeypatch):
    monkeypatch.setenv("TUTELAGE_OFFLINE", "1")
    with pytest.raises(UserError, match=f"{place} would be asked, and nothing may leave this machine"):
        Asking(Endpoint(f"http://{place}/v1", "tiny"))


@pytest.mark.parametrize("fault", [429, 500, 503, "garbage"])
def test_what_passes_is_asked_again(server, fault):
    server.tell(faults=[fault, fault])
    server.seen()
    assert Asking(endpoint(server)).one("/models")["data"]
    assert len(server.seen()["seen"]) == 3


def test_a_slow_answer_is_not_waited_for(server):
    server.tell(faults=["slow"])
    began = time.monotonic()
    assert Asking(endpoint(server, timeout=0.3, tries=6)).one("/models")["data"]
    assert time.monotonic() - began > 0.3


@pytest.mark.parametrize(
    ("fault", "said"),
    [(429, "429: told to say 429"), (500, "500"), ("garbage", "no JSON object: '<html>{'"), ("slow", "no answer in 0.2 s")],
)
def test_what_does_not_pass_stops_the_run_so_that_it_can_go_on(server, fault, said):
    server.tell(faults=[fault] * 2)
    with pytest.raises(Interrupted, match=f"127.0.0.1.* was asked 2 times for /models in vain .*{said}.*run again"):
        Asking(endpoint(server, tries=2, timeout=0.2 if fault == "slow" else 5)).one("/models")
    time.sleep(3.2 if fault == "slow" else 0)
    server.tell()


def test_a_server_that_dies_in_the_middle_leaves_what_it_said():
    heard = []
    with running() as server:
        server.tell(faults=[None] * 5 + ["die"])
        with pytest.raises(Interrupted, match="the connection failed"):
            requests = ((n, Request("/models")) for n in range(20))
            Asking(endpoint(server, key=None, together=2, tries=2)).all(requests, lambda name, _: heard.append(name))
    assert 4 <= len(heard) <= 5


def test_everything_is_asked_once(server):
    server.tell()
    server.seen()
    heard = {}
    Asking(endpoint(server, together=3)).all(
        ((n, Request("/models")) for n in range(25)), lambda name, answer: heard.update({name: answer})
    )
    assert sorted(heard) == list(range(25)) and len(server.seen()["seen"]) == 25


def test_a_wrong_key_is_told_of_and_not_told(server, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "sk-another-secret")
    with pytest.raises(UserError, match=r"without the right key .*JUDGE_KEY") as refused:
        Asking(endpoint(server)).one("/models")
    assert "sk-another" not in str(refused.value) and "(key)" in str(refused.value), "the server had repeated it"
    with pytest.raises(UserError, match="key: NAME"):
        Asking(endpoint(server, key=None)).one("/models")
    assert KEY not in repr(Asking(endpoint(server))) and KEY not in str(vars(endpoint(server)))


def test_a_missing_key_is_told_before_anything_is_asked(server, monkeypatch):
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(UserError, match="set the environment variable JUDGE_KEY"):
        Asking(endpoint(server))


def test_a_wrong_address_is_told(server):
    with pytest.raises(UserError, match=r"knows no /nothing .*is the url right, with its /v1"):
        Asking(endpoint(server)).one("/nothing")
    with pytest.raises(Interrupted, match="the connection failed"):
        Asking(Endpoint("http://127.0.0.1:9/v1", "tiny", tries=1)).one("/models")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "localhost:8000"}, "an address such as"),
        ({"url": "https://me:pass@host/v1"}, "more than an address"),
        ({"url": "https://host/v1?key=1"}, "more than an address"),
        ({"key": "sk-abc"}, "never the key itself"),
    ],
)
def test_settings_that_are_none_are_refused_without_repeating_them(settings, said):
    with pytest.raises(ValueError, match=said) as refused:
        Endpoint(**{"url": "http://host/v1", "model": "m", **settings})
    assert "pass" not in str(refused.value).replace("pass ", "") and "sk-abc" not in str(refused.value)


def test_it_works_where_a_loop_runs_already(server):
    import asyncio

    async def within():
        return Asking(endpoint(server)).one("/models")

    assert asyncio.run(within())["data"]
