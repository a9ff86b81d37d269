"""Messages on their way: real children, apprise, and a web server of this machine."""

import os
import time
from collections.abc import Iterator

import pytest

from supervisor.notify import delivery
from supervisor.notify.delivery import (
    NO_ANSWER,
    UNSURE_WAITS_S,
    WAITS_S,
    Delivery,
    ask,
    label,
    start,
)
from supervisor.notify.message import Notice
from tests.e2e.webhook import Webhook, webhook

MESSAGE = Notice("title", "body", "warning")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    """A web server."""
    with webhook() as server:
        yield server


def on_its_way(*targets: str) -> Delivery:
    """A message to these targets."""
    return Delivery(MESSAGE, targets, dict.fromkeys(range(len(targets))))


def tried(one: Delivery, now: float) -> Delivery:
    """Try once, and wait for what comes of it."""
    one.poll(now)
    until = time.monotonic() + 90
    while one.is_sending and time.monotonic() < until:
        one.poll(now)
        time.sleep(0.02)
    return one


def test_it_reaches_its_target(hook: Webhook) -> None:
    """With title, body and kind."""
    one = tried(on_its_way(hook.address), 0.0)
    assert (one.reached, one.left, one.is_over) == ([0], {}, True)
    (path, body, _) = hook.got[0]
    assert path == "/secret-path"
    assert (body["title"], body["message"], body["type"]) == ("title", "body", "warning")


def test_only_what_failed_is_sent_again(hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """With growing waits, until the target takes it."""
    monkeypatch.delenv("NOT_SET", raising=False)
    one = tried(on_its_way(hook.address, "env:NOT_SET", "nonsense://x"), 0.0)
    assert one.reached == [0]
    assert one.left[1] == "the environment variable NOT_SET is not set"
    assert "does not know" in str(one.left[2])
    assert one.due == WAITS_S[0]
    one.poll(WAITS_S[0] - 1)
    assert not one.is_sending
    monkeypatch.setenv("NOT_SET", hook.address)
    tried(one, WAITS_S[0])
    assert one.reached == [0, 1]
    assert one.due == WAITS_S[0] + WAITS_S[1]
    assert len(hook.got) == 2
    one.poll(delivery.GIVEN_UP_S)
    assert one.is_over


def test_a_target_that_never_answers_delays_no_other(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are reached; the silent one is ended at the deadline."""
    monkeypatch.setattr(delivery, "DEADLINE_S", 15.0)
    hook.silent.set()
    with webhook() as other:
        one = on_its_way(hook.address, other.address)
        one.poll(0.0)
        until = time.monotonic() + 60
        while not other.got and time.monotonic() < until:
            one.poll(0.0)
            time.sleep(0.02)
        while 1 in one.left and time.monotonic() < until:
            one.poll(0.0)
        assert one.reached == [1]
        assert one.is_sending
        one.poll(17.0)
    assert not one.is_sending
    assert one.left == {0: NO_ANSWER}


def test_no_address_is_seen_from_outside(hook: Webhook) -> None:
    """Neither in the child's command line nor in its environment, nor in an error."""
    hook.status = 500
    with start({"message": {}, "targets": {"0": hook.address}, "deadline_s": 5}) as child:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{child.pid}/{name}", "rb") as file:
                assert b"hunter2" not in file.read()
        child.kill()
    answer = ask(
        {
            "message": {"title": "t", "body": "b", "kind": "info"},
            "targets": {0: hook.address},
            "deadline_s": 5,
        }
    )
    assert "hunter2" not in str(answer)
    assert "secret" not in str(answer)
    assert label([hook.address], 0) == "target 1 (json)"


def test_a_child_stays_in_the_daemons_session(hook: Webhook) -> None:
    """By that the launcher knows it, after the daemon's death, for no process of the attempt."""
    hook.silent.set()
    with start({"ping": f"http://127.0.0.1:{hook.port}/ping", "deadline_s": 30}) as child:
        try:
            assert os.getsid(child.pid) == os.getsid(0)
        finally:
            child.kill()


def test_a_child_ends_though_a_target_does_not_answer(hook: Webhook) -> None:
    """At its own deadline: the supervisor may be gone by then."""
    hook.silent.set()
    order = {
        "message": {"title": "t", "body": "b", "kind": "info"},
        "targets": {"0": hook.address},
        "deadline_s": 3,
    }
    with start(order) as child:
        try:
            assert child.wait(60) == 0
        finally:
            child.kill()


def test_a_ping_is_asked_for_again_once(hook: Webhook) -> None:
    """A failure is told without the address."""
    address = f"http://127.0.0.1:{hook.port}/uuid"
    assert ask({"ping": address, "suffix": "/fail", "deadline_s": 20}) == {0: None}
    assert hook.pings == ["/uuid/fail"]
    hook.status = 503
    assert ask({"ping": address, "deadline_s": 20}) == {0: "HTTP status 503"}
    assert ask({"ping": "file:///etc/passwd", "deadline_s": 20}) == {
        0: "the address must begin with https:// or http://"
    }


def test_without_apprise_the_error_says_what_to_install(
    hook: Webhook, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    folder = os.fspath(tmp_path)
    with open(os.path.join(folder, "apprise.py"), "w", encoding="utf-8") as file:
        file.write("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", folder)
    answer = ask({"message": {}, "targets": {0: hook.address}, "deadline_s": 20})
    assert answer == {0: "apprise is not installed: pip install 'train-supervisor[notify]'"}


@pytest.mark.parametrize("is_one", [True, False])
def test_of_several_receivers_none_is_told_twice(
    hook: Webhook, is_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address with two topics, and a variable with two addresses, where one refuses."""
    topics = f"ntfy://127.0.0.1:{hook.port}/good"
    monkeypatch.setenv("BOTH", f"{topics}, {hook.address}")
    address, hook.refused = (f"{topics}/bad", '"bad"') if is_one else ("env:BOTH", '"version"')
    one = tried(on_its_way(address), 0.0)
    assert one.left == {0: "the target refused it, or cannot be reached"}
    tried(one, one.due)
    assert [body["topic"] for _, body, _ in hook.got] == ["good"]
    hook.refused = ""
    tried(one, one.due)
    assert len(hook.got) == 2
    assert (one.reached, one.left) == ([0], {})


def test_a_target_that_is_slow_is_told_once(hook: Webhook) -> None:
    """It answers later than apprise waits of itself."""
    hook.answers_after_s = 5.0
    assert tried(on_its_way(hook.address), 0.0).reached == [0]
    assert len(hook.got) == 1


def test_a_target_that_may_have_taken_it_is_tried_three_times(hook: Webhook) -> None:
    """It takes each message, and answers too late. The tries are far apart."""
    hook.answers_after_s = 2.0
    one = tried(on_its_way(f"{hook.address}?rto=1"), 0.0)
    assert one.due == UNSURE_WAITS_S[0]
    tried(one, one.due)
    tried(one, one.due)
    assert one.is_over
    assert list(one.given_up) == [0]
    assert len(hook.got) == 3


def test_a_refusal_is_tried_again_by_the_child_only_at_the_end(hook: Webhook) -> None:
    """Before the end the daemon tries again."""
    hook.status = 500
    one = tried(on_its_way(hook.address), 0.0)
    assert hook.refusals == 1
    one.is_last = True
    one.poll(now := one.due)
    until = time.monotonic() + 60
    while hook.refusals < 2 and time.monotonic() < until:
        time.sleep(0.01)
    hook.status = 200
    assert tried(one, now).reached == [0]


def test_fail_is_added_to_the_path_not_to_the_query(hook: Webhook) -> None:
    """A query belongs behind it."""
    base = f"http://127.0.0.1:{hook.port}"
    for address, asked in [
        (f"{base}/uuid?create=1", "/uuid/fail?create=1"),
        (f"{base}/uuid/?create=1", "/uuid/fail?create=1"),
        (f"{base}/uuid/", "/uuid/fail"),
    ]:
        assert ask({"ping": address, "suffix": "/fail", "deadline_s": 20}) == {0: None}
        assert hook.pings[-1] == asked
    assert ask({"ping": "http://[", "suffix": "/fail", "deadline_s": 20}) == {0: "ValueError"}


def test_a_path_of_any_bytes_can_be_told(hook: Webhook) -> None:
    """A name that is no UTF-8 is written with escapes."""
    message = {"title": "\udcff", "body": "Run directory: /x/\udcff", "kind": "info"}
    assert ask({"message": message, "targets": {0: hook.address}, "deadline_s": 20}) == {0: None}
    assert hook.got[0][1]["message"] == "Run directory: /x/\\udcff"
    ping = f"http://127.0.0.1:{hook.port}/uuid"
    assert ask({"ping": ping, "said": "held: \udcff", "deadline_s": 20}) == {0: None}
