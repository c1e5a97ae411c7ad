"""The commands of lightning-cli over whole nodes on virtual time: what they answer, ask, refuse and change."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.hosts import join_as_guest
from helpers.rig import assert_consistent
from lnrecur.daemon.config import Settings
from lnrecur.daemon.http.routes import Routes
from lnrecur.errors import LnrecurError
from lnrecur.plugin.commands import FAILED, FOR_NOW, INVALID_PARAMS, NOT_FOUND, PLUGIN_ERROR, Commands, error_of
from lnrecur.ports import PeerUnreachable
from lnrecur.recurrence.errors import StateRefused
from lnrecur.testing.rig import Rig, RigNode

DAY = 86_400


def commands_of(node: RigNode) -> Commands:
    assert node.services is not None
    return Commands(Routes(node.services, Settings(dialect="cln"), None))


async def an_offer(shop: Commands, **changes: Any) -> dict[str, Any]:
    return await shop.perform("recur-offer", {"amount": 10_000, "description": "a thing", "every": "1d", **changes})


async def subscribed(alice: Commands, offer: dict[str, Any], **changes: Any) -> str:
    asked = await alice.perform("recur-subscribe", {"offer": offer["offer"], **changes})
    told = await alice.perform("recur-subscribe", {"offer": offer["offer"], **changes, "confirm": asked["confirm"]})
    return str(told["id"])


async def refused(commands: Commands, name: str, params: Any) -> tuple[int, str]:
    with pytest.raises(LnrecurError) as error:
        await commands.perform(name, params)
    code, told, data = error_of(error.value)
    assert data["retry"] is False
    return code, told


async def test_each_payment_is_approved_by_the_question_it_asks_and_by_no_other() -> None:
    async with Rig(seed=11) as rig:
        merchant, alice = [(await join_as_guest(rig, name))[0] for name in ("merchant", "alice")]
        shop, payer = commands_of(merchant), commands_of(alice)
        subscription = await subscribed(payer, await an_offer(shop), ask_each_time=True)
        assert "nothing waits for approval" in (await refused(payer, "recur-approve", [subscription]))[1]
        await rig.run_for(60)
        asked = await payer.perform("recur-approve", [subscription[:12]])
        assert asked["asked"] == "Pay this?"
        assert any(line.startswith("you pay: 10 sat, within your limits") for line in asked["you_agree"])
        assert (await payer.perform("recur-subscriptions", [subscription]))["payments"] == 0, "asking pays nothing"
        code, _ = await refused(payer, "recur-approve", [subscription, "00" * 32])
        assert code == INVALID_PARAMS
        told = await payer.perform("recur-approve", {"subscription_id": subscription, "question": asked["question"]})
        assert told["id"] == subscription
        await rig.run_for(60)
        assert (await payer.perform("recur-subscriptions", [subscription]))["payments"] == 1
        code, _ = await refused(payer, "recur-approve", [subscription, asked["question"]])
        assert code == INVALID_PARAMS, "what was answered is not asked any more"
        assert_consistent(rig)


async def test_a_digest_is_good_for_the_very_same_parameters_in_any_order_or_form() -> None:
    async with Rig(seed=12) as rig:
        merchant, alice = [(await join_as_guest(rig, name))[0] for name in ("merchant", "alice")]
        offer, payer = (await an_offer(commands_of(merchant)))["offer"], commands_of(alice)
        digest = (await payer.perform("recur-subscribe", [offer, "20sat", "1000sat"]))["confirm"]
        same = await payer.perform(
            "recur-subscribe", {"max_total": 1_000_000, "max_per_period": 20_000, "offer": offer}
        )
        assert same["confirm"] == digest
        for other in ({"max_total": 999_000}, {"max_per_period": 20_001}, {"catch_up": True}, {"until": 2_000_000_000}):
            changed = {"offer": offer, "max_per_period": 20_000, "max_total": 1_000_000, **other, "confirm": digest}
            assert "not the digest" in (await refused(payer, "recur-subscribe", changed))[1]
        for useless in (True, "true", "yes", "", digest[:8]):
            given = {"offer": offer, "max_per_period": 20_000, "max_total": 1_000_000, "confirm": useless}
            assert "not the digest" in (await refused(payer, "recur-subscribe", given))[1]
        assert alice.manager.outbounds() == []
        told = await payer.perform(
            "recur-subscribe",
            {
                "offer": f" lightning:{offer} ",
                "max_per_period": "20sat",
                "max_total": 1_000_000,
                "confirm": digest.upper(),
            },
        )
        assert (told["mandate"]["max_per_period_msat"], told["mandate"]["max_total_msat"]) == (20_000, 1_000_000)


async def test_a_digest_counts_once_and_another_subscription_has_another_digest() -> None:
    async with Rig(seed=15) as rig:
        merchant, alice = [(await join_as_guest(rig, name))[0] for name in ("merchant", "alice")]
        offer, payer = (await an_offer(commands_of(merchant)))["offer"], commands_of(alice)
        first = (await payer.perform("recur-subscribe", [offer]))["confirm"]
        told = [await payer.perform("recur-subscribe", {"offer": offer, "confirm": first}) for _ in range(3)]
        assert len({one["id"] for one in told}) == len(alice.manager.outbounds()) == 1
        await payer.perform("recur-cancel", [told[0]["id"]])
        second = (await payer.perform("recur-subscribe", [offer]))["confirm"]
        assert second != first
        other = await payer.perform("recur-subscribe", {"offer": offer, "confirm": second})
        again = await payer.perform("recur-subscribe", {"offer": offer, "confirm": first})
        assert (other["id"] != told[0]["id"], again["id"]) == (True, told[0]["id"])
        assert len(alice.manager.outbounds()) == 2


async def test_what_cannot_be_done_is_refused_with_a_code_and_the_field() -> None:
    async with Rig(seed=13) as rig:
        merchant, alice = [(await join_as_guest(rig, name))[0] for name in ("merchant", "alice")]
        shop, payer = commands_of(merchant), commands_of(alice)
        once = await an_offer(shop, every=None)
        free = await an_offer(shop, amount="any")
        offer = await an_offer(shop)
        for name, params, code, told in [
            ("recur-subscribe", [once["offer"]], INVALID_PARAMS, "no recurrence: it can be paid once"),
            ("recur-subscribe", [free["offer"]], INVALID_PARAMS, "leaves the amount to you"),
            ("recur-subscribe", [offer["offer"][:-9]], INVALID_PARAMS, ""),
            ("recur-subscribe", {"offer": offer["offer"], "quantity": 2, "confirm": "x"}, INVALID_PARAMS, "digest"),
            (
                "recur-offer",
                {"amount": 1, "description": "x", "payments": 3},
                INVALID_PARAMS,
                "say with every how long",
            ),
            ("recur-offer", {"amount": 1, "description": "x", "every": "1d", "payments": 1}, INVALID_PARAMS, "limit"),
            ("recur-offer", {"amount": 1, "description": "x" * 3000}, INVALID_PARAMS, "description"),
            ("recur-offers", ["zz"], NOT_FOUND, "no offer"),
            ("recur-offers", [True], INVALID_PARAMS, "should be an id"),
            ("recur-subscriptions", ["00"], NOT_FOUND, "no subscription"),
            ("recur-cancel", ["ff"], NOT_FOUND, "no subscription"),
            ("recur-approve", ["ff"], NOT_FOUND, "no subscription"),
        ]:
            found, words = await refused(payer if "subscri" in name else shop, name, params)
            assert (found, told in words) == (code, True), words
        subscription = await subscribed(payer, offer)
        await payer.perform("recur-cancel", [subscription])
        await rig.run_for(2 * DAY)
        found, words = await refused(payer, "recur-cancel", [subscription])
        assert (found, "nothing to cancel" in words) == (INVALID_PARAMS, True)


async def test_an_offer_is_made_with_all_that_the_command_line_can_say() -> None:
    async with Rig(seed=14) as rig:
        shop = commands_of((await join_as_guest(rig, "merchant"))[0])
        offer = await an_offer(
            shop,
            amount="0.0001btc",
            payments=12,
            label="club",
            issuer="us",
            every="1month",
            lenient=True,
            arrears_max=2,
        )
        assert (offer["amount_msat"], offer["windows"], offer["policy"]["arrears_max"]) == (10_000_000, "lenient", 2)
        assert "every month" in offer["terms"]
        assert "at most 12 payments" in offer["terms"]
        assert (await shop.perform("recur-offers", [offer["offer_id"][:10]]))["label"] == "club"
        assert [one["label"] for one in (await shop.perform("recur-offers", []))["offers"]] == ["club"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(PeerUnreachable("nobody"), FOR_NOW), (StateRefused("no"), INVALID_PARAMS), (LnrecurError("a bug"), PLUGIN_ERROR)],
    ids=lambda value: type(value).__name__,
)
def test_whose_fault_it_is_decides_the_code(error: LnrecurError, code: int) -> None:
    assert error_of(error)[0] == code
    assert FAILED not in (FOR_NOW, NOT_FOUND, code)
