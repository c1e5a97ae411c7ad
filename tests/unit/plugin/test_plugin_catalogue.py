"""What lightningd is told of the plugin: a manifest it understands, and parameters that our own commands have."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lnrecur.adapters.nodes.cln.hook_answers import MessageAnswer, PaymentAnswer
from lnrecur.cli.offer import create
from lnrecur.cli.subscribe import subscribe
from lnrecur.plugin.catalogue import COMMANDS, HOLD_S_MAX, HOOKS, OPTIONS, manifest
from lnrecur.plugin.parameters import by_name
from lnrecur.plugin.program import _peer_in

OURS = "lnrecur-" + "11" * 32


def test_the_manifest_is_json_and_has_what_lightningd_insists_on() -> None:
    told = json.loads(json.dumps(manifest()))
    assert told["dynamic"] is told["nonnumericids"] is True
    for option in told["options"]:
        assert option["name"].startswith("lnrecur-")
        assert "|" not in option["name"], "lightningd refuses it"
        assert (option["type"], type(option["default"])) == ("string", str)
    for method in told["rpcmethods"]:
        assert method["usage"] is not None
        assert method["description"]
        assert method["long_description"]
    assert "disable" not in told
    assert [(hook["name"], hook["before"]) for hook in told["hooks"]] == [
        ("onion_message_recv_secret", ["offers"]), ("invoice_payment", []),
    ]  # fmt: skip
    assert told["subscriptions"] == ["connect", "disconnect", "shutdown"]
    assert len({name for name, _, _ in OPTIONS}) == len(OPTIONS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_usage_is_as_lightning_cli_shows_it_and_texts_name_only_parameters(command: object) -> None:
    for word in command.usage.split():  # type: ignore[attr-defined]
        assert re.fullmatch(r"[a-z_]+|\[[a-z_]+\]", word)
    named = set(re.findall(r"\{([a-z_]+)\}", command.long_description))  # type: ignore[attr-defined]
    assert named <= set(command.parameters)  # type: ignore[attr-defined]
    assert len(set(command.parameters)) == len(command.parameters)  # type: ignore[attr-defined]


def test_parameters_are_those_of_our_own_commands() -> None:
    known = {command.name: command for command in COMMANDS}
    offer, subscription = known["recur-offer"], known["recur-subscribe"]
    assert set(offer.parameters) <= {parameter.name for parameter in create.params}
    assert set(subscription.parameters) - {"offer", "confirm"} <= {parameter.name for parameter in subscribe.params}


@pytest.mark.parametrize(
    ("hook", "params", "answer"),
    [
        ("invoice_payment", {"payment": {"label": OURS}}, PaymentAnswer.REJECT),
        ("invoice_payment", {"payment": {"label": "coffee"}}, PaymentAnswer.CONTINUE),
        ("onion_message_recv_secret", {"onion_message": {}}, MessageAnswer.CONTINUE),
        ("onion_message_recv_secret", {}, MessageAnswer.CONTINUE),
    ],
)
def test_without_our_word_only_payments_of_ours_go_back(hook: str, params: dict, answer: object) -> None:
    assert HOOKS[hook].otherwise(params) is answer


def test_the_wire_waits_longer_than_the_loop_which_waits_less_than_any_htlc() -> None:
    assert HOOKS["invoice_payment"].deadline_s > HOLD_S_MAX
    assert HOOKS["invoice_payment"].deadline_s < 10 * 60, "a block: the last HTLC has 18 of them and more"


def test_the_manifest_is_told_without_loading_the_daemon() -> None:
    looked = "import sys, lnrecur.plugin.catalogue, lnrecur.plugin.program; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True).stdout
    for heavy in ("sqlalchemy", "starlette", "uvicorn", "rich", "click", "httpx", "lnrecur.daemon", "lnrecur.cli"):
        assert f"'{heavy}" not in loaded, heavy


PAGE = (Path(__file__).parents[3] / "docs" / "nodes" / "cln.md").read_text()


def test_the_page_lists_every_option_with_its_default_every_command_and_every_hook() -> None:
    section = PAGE[PAGE.index("\n## As a plugin\n") :]
    section = section[: section.index("\n## How money comes in\n")]
    listed = dict(re.findall(r"^\| `(lnrecur-[a-z-]+)` \| `([^`]*)` \|", section, re.MULTILINE))
    assert listed == {name: default for name, default, _ in OPTIONS}
    for command in COMMANDS:
        assert f"lightning-cli {command.name} " in section or f"lightning-cli -k {command.name} " in section
    for name in (*HOOKS, "connect", "disconnect", "shutdown"):
        assert f"`{name}`" in section
    assert f"after {HOLD_S_MAX:.0f} seconds `reject`" in section


def test_the_commands_on_the_page_are_taken_and_a_confirmation_repeats_what_was_asked() -> None:
    known = {command.name: command for command in COMMANDS}
    typed = [shlex.split(line) for line in re.findall(r"^lightning-cli (.*)", PAGE, re.MULTILINE)]
    asked: list[dict[str, object]] = []
    for words in typed:
        by_key = words[0] == "-k"
        name, *given = words[by_key:]
        if name not in known:
            continue
        given = given[: given.index("#")] if "#" in given else given
        taken = by_name(known[name], dict(word.split("=", 1) for word in given) if by_key else given)
        if taken.pop("confirm", None):
            assert taken in asked, "else its digest is refused"
        asked.append(taken)
    assert len(asked) >= 10


@pytest.mark.parametrize(
    ("params", "peer"),
    [
        ({"connect": {"id": "02aa", "direction": "in"}}, "02aa"),
        ({"disconnect": {"id": "02aa"}}, "02aa"),
        ({"id": "02aa", "address": {}}, "02aa"),
        ({"connect": {}}, None),
        ({"connect": 5}, None),
        ({"id": 5}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_peer_of_a_notification_is_found_in_the_new_form_and_in_the_old(params: object, peer: str | None) -> None:
    assert _peer_in(params) == peer
