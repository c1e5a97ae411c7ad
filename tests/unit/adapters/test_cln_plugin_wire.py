"""The plugin protocol, from both ends of two pipes: each call is answered once, each hook in time, whatever we do."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from lnrecur.adapters.nodes.cln.frames import JsonFrames
from lnrecur.adapters.nodes.cln.hook_answers import HookAnswer, MessageAnswer, PaymentAnswer
from lnrecur.adapters.nodes.cln.plugin_wire import Call, Hook, PluginWire

PATIENCE_S = 30


class Handler:
    """Keeps what comes; does with calls as it is told."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Call] = queue.Queue()
        self.notified_of: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.over = threading.Event()
        self.on_call: Callable[[Call], None] = self.calls.put

    def called(self, call: Call) -> None:
        self.on_call(call)

    def notified(self, topic: str, params: Any) -> None:
        self.notified_of.put((topic, params))

    def ended(self) -> None:
        self.over.set()


def reject_ours(params: Mapping[str, Any]) -> HookAnswer:
    return PaymentAnswer.REJECT if params["payment"]["label"] == "ours" else PaymentAnswer.CONTINUE


def hooks(deadline_s: float) -> dict[str, Hook]:
    return {
        "invoice_payment": Hook("invoice_payment", PaymentAnswer, deadline_s, reject_ours),
        "onion_message_recv": Hook("onion_message_recv", MessageAnswer, 3600, lambda params: MessageAnswer.CONTINUE),
    }


class Lightningd:
    """Both pipes' other ends."""

    def __init__(self, deadline_s: float = 3600) -> None:
        ours_in, self._to_plugin = os.pipe()
        self._from_plugin, ours_out = os.pipe()
        self.handler = Handler()
        self.wire = PluginWire(ours_in, ours_out, self.handler, hooks(deadline_s))
        self._frames, self._read = JsonFrames(), queue.SimpleQueue[dict[str, Any]]()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        self.wire.start()

    def write(self, *documents: Any, end: str = "\n\n") -> None:
        self.write_raw("".join(json.dumps(document) + end for document in documents).encode())

    def write_raw(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._to_plugin, data) :]

    def call(self, method: str, params: Any = None, id: Any = "cln:x#1") -> None:
        self.write({"jsonrpc": "2.0", "id": id, "method": method, "params": {} if params is None else params})

    def told(self) -> dict[str, Any]:
        return self._read.get(timeout=PATIENCE_S)

    def hang_up(self) -> None:
        os.close(self._to_plugin)
        assert self.handler.over.wait(PATIENCE_S)

    def _listen(self) -> None:
        while data := os.read(self._from_plugin, 65536):
            for text in self._frames.feed(data):
                self._read.put(json.loads(text))


@pytest.fixture
def lightningd() -> Iterator[Lightningd]:
    made = Lightningd()
    yield made
    if not made.handler.over.is_set():
        made.hang_up()
    made.wire.close()


def next_call(lightningd: Lightningd) -> Call:
    return lightningd.handler.calls.get(timeout=PATIENCE_S)


@pytest.mark.parametrize("asked", ["cln:recur-offers#12", 7, "7"])
def test_a_command_is_answered_under_its_own_id_and_once(lightningd: Lightningd, asked: Any) -> None:
    lightningd.call("recur-offers", [1], asked)
    call = next_call(lightningd)
    assert (call.method, call.params, call.hook) == ("recur-offers", [1], None)
    assert lightningd.wire.answer(call, {"offers": []})
    assert not lightningd.wire.answer(call, {"offers": [1]})
    assert not lightningd.wire.refuse(call, -1, "no")
    lightningd.wire.log("info", "after")
    assert lightningd.told() == {"jsonrpc": "2.0", "id": asked, "result": {"offers": []}}
    assert lightningd.told()["params"] == {"level": "info", "message": "after"}


def test_a_command_is_refused_with_code_words_and_data(lightningd: Lightningd) -> None:
    lightningd.call("recur-cancel")
    lightningd.wire.refuse(next_call(lightningd), -32602, "which one?", {"field": "id"})
    error = {"code": -32602, "message": "which one?", "data": {"field": "id"}}
    assert lightningd.told() == {"jsonrpc": "2.0", "id": "cln:x#1", "error": error}


def test_half_a_character_in_an_answer_or_in_the_log_is_told_all_the_same(lightningd: Lightningd) -> None:
    lightningd.call("recur-offers", {"offer_id": "\ud800"}, id="1")
    call = next_call(lightningd)
    assert lightningd.wire.refuse(call, -32602, f"no offer {call.params['offer_id']}")
    assert lightningd.told()["error"]["message"] == "no offer \ud800"
    lightningd.wire.log("info", "a file named \udcff")
    assert lightningd.told()["params"]["message"] == "a file named \udcff"


def test_an_answer_that_cannot_be_written_leaves_the_call_to_be_refused(lightningd: Lightningd) -> None:
    lightningd.call("recur-offers", id="1")
    call = next_call(lightningd)
    with pytest.raises(TypeError):
        lightningd.wire.answer(call, {"offers": object()})
    assert lightningd.wire.refuse(call, -3, "a bug")
    assert lightningd.told()["error"]["message"] == "a bug"


def test_several_objects_in_one_read_and_one_in_many_are_all_taken(lightningd: Lightningd) -> None:
    lightningd.write({"id": 1, "method": "a"}, {"id": 2, "method": "b", "params": {"x": "}{"}}, end="")
    assert [next_call(lightningd).id, next_call(lightningd).id] == [1, 2]
    for byte in json.dumps({"id": 3, "method": "c"}).encode():
        lightningd.write_raw(bytes([byte]))
    assert next_call(lightningd).params == {}


def test_a_huge_call_is_taken_and_a_huge_answer_arrives_whole(lightningd: Lightningd) -> None:
    lightningd.call("big", {"data": "ab" * 2_000_000})
    call = next_call(lightningd)
    lightningd.wire.answer(call, {"back": call.params["data"]})
    assert lightningd.told()["result"] == {"back": "ab" * 2_000_000}


@pytest.mark.parametrize("label", ["ours", "another's"])
def test_a_hook_that_nobody_answers_is_answered_at_its_deadline(label: str) -> None:
    lightningd = Lightningd(deadline_s=0.05)
    lightningd.call("invoice_payment", {"payment": {"label": label}})
    call = next_call(lightningd)
    answer = "reject" if label == "ours" else "continue"
    assert lightningd.told() == {"jsonrpc": "2.0", "id": "cln:x#1", "result": {"result": answer}}
    assert not lightningd.wire.answer_hook(call, PaymentAnswer.CONTINUE), "too late"
    assert not lightningd.wire.is_open(call)
    assert "lightningd waits no longer" in lightningd.told()["params"]["message"]
    assert lightningd.wire.overdue == 1
    lightningd.hang_up()


def test_an_answer_before_the_deadline_is_the_one_that_counts(lightningd: Lightningd) -> None:
    lightningd.call("onion_message_recv")
    call = next_call(lightningd)
    assert lightningd.wire.answer_hook(call, MessageAnswer.TAKEN)
    assert lightningd.told()["result"] == {"result": "resolve"}


def test_a_hook_whose_handling_failed_gets_its_fallback_and_never_an_error(lightningd: Lightningd) -> None:
    lightningd.call("invoice_payment", {"payment": {"label": "ours"}})
    assert lightningd.wire.fail_hook(next_call(lightningd))
    assert lightningd.told()["result"] == {"result": "reject"}


def test_a_fallback_that_fails_itself_becomes_continue(lightningd: Lightningd) -> None:
    lightningd.call("invoice_payment", {"payment": "?"})
    lightningd.wire.fail_hook(next_call(lightningd))
    assert "no fallback could be found" in lightningd.told()["params"]["message"]
    assert lightningd.told()["result"] == {"result": "continue"}


def test_a_receiver_that_raises_stalls_nobody(lightningd: Lightningd) -> None:
    def bug(call: Call) -> None:
        raise ZeroDivisionError("a bug")

    lightningd.handler.on_call = bug
    lightningd.call("onion_message_recv", id="hook")
    assert "a bug" in lightningd.told()["params"]["message"]
    assert lightningd.told() == {"jsonrpc": "2.0", "id": "hook", "result": {"result": "continue"}}
    lightningd.call("recur-offers", id="command")
    lightningd.told()
    assert lightningd.told()["error"]["message"] == "recur-offers met a bug of lnrecur: see the log"


def test_no_word_but_those_of_the_hook_can_be_sent(lightningd: Lightningd) -> None:
    lightningd.call("invoice_payment", {"payment": {"label": "ours"}})
    call = next_call(lightningd)
    with pytest.raises(AssertionError, match="cannot be refused"):
        lightningd.wire.refuse(call, -1, "an error to a hook aborts lightningd")
    with pytest.raises(AssertionError, match="is a hook"):
        lightningd.wire.answer(call, {"result": "whatever"})
    assert lightningd.wire.answer_hook(call, MessageAnswer.TAKEN), "resolve is no answer to invoice_payment"
    assert lightningd.told()["result"] == {"result": "reject"}
    assert {answer.value for kind in (PaymentAnswer, MessageAnswer) for answer in kind} == {
        "continue", "reject", "resolve",
    }  # fmt: skip


DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n"
JUNK = [b"noise\n\n", b'{"id": 1\n\n', b'{"id": x}', b'{"id": 5}', b'[1, {"a": 2}]', b"\xff\n\n", DEEP]


@pytest.mark.parametrize("junk", JUNK, ids=range(7))
def test_after_what_is_no_call_the_next_one_is_taken(lightningd: Lightningd, junk: bytes) -> None:
    lightningd.write_raw(junk)
    lightningd.call("recur-offers", id="after")
    assert next_call(lightningd).id == "after"


def test_a_hook_with_a_text_that_is_no_utf8_still_has_its_answer(lightningd: Lightningd) -> None:
    lightningd.write_raw(b'{"id":"h","method":"invoice_payment","params":{"payment":{"label":"\xff"}}}\n\n')
    lightningd.wire.fail_hook(next_call(lightningd))
    assert lightningd.told()["result"] == {"result": "continue"}


def test_notifications_come_without_an_id_and_are_not_answered(lightningd: Lightningd) -> None:
    lightningd.write({"jsonrpc": "2.0", "method": "connect", "params": {"connect": {"id": "02"}}})
    assert lightningd.handler.notified_of.get(timeout=PATIENCE_S) == ("connect", {"connect": {"id": "02"}})


def test_what_is_open_at_the_end_is_answered_before_we_go() -> None:
    lightningd = Lightningd()
    lightningd.call("onion_message_recv", id="m")
    next_call(lightningd)
    lightningd.hang_up()
    lightningd.wire.close()
    assert lightningd.told() == {"jsonrpc": "2.0", "id": "m", "result": {"result": "continue"}}
