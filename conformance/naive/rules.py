"""The rules that need more than one message: each function answers (broken rules, the right answer if none is)."""

from __future__ import annotations

from typing import Any

from naive import calendar, messages
from naive.calendar import NoSuchTime, PeriodOver
from naive.messages import OFFER_TYPES, REQUEST_TYPES, Message
from naive.wire import Malformed, bigsize, read_stream

Given = dict[str, Any]
Finding = tuple[set[str], dict[str, Any]]
U64 = 2**64 - 1


def period_start(given: Given) -> Finding:
    try:
        found = calendar.start(given["basetime"], given["time_unit"], given["period"], given["n"])
    except NoSuchTime:
        return {"T7"}, {}
    return set(), {"seconds_since_epoch": found}


def pay_window(given: Given) -> Finding:
    told = given["paywindow"]
    paywindow = None if told is None else (told["seconds_before"], told["seconds_after"])
    try:
        opens, closes = calendar.window(given["basetime"], given["time_unit"], given["period"], paywindow, given["n"])
    except NoSuchTime:
        return {"T7"}, {}
    return set(), {"window": {"opens": opens, "closes": closes}}


def price(given: Given) -> Finding:
    proportional = given["proportional_amount"] == 1
    told = (given["basetime"], given["time_unit"], given["period"], given["n"], given["now"])
    try:
        return set(), {"amount_msat": calendar.price(given["amount_msat"], proportional, *told)}
    except NoSuchTime:
        return {"T7"}, {}
    except PeriodOver:
        return {"T10"}, {}


def offer(given: Given) -> Finding:
    read = messages.read_offer(given["offer"])
    recurrence = read.recurrence()
    if read.broken:
        return read.broken, {}
    accepted: dict[str, Any] = {"dialect": None, "recurrence": None, "warnings": []}
    if recurrence is not None:
        (unit, period), base, window = recurrence, read.get("base"), read.get("paywindow")
        [accepted["dialect"]] = read.dialects
        accepted["recurrence"] = {
            "optional": "optional" in read.present,
            "time_unit": unit,
            "period": period,
            "basetime": None if base is None else base[1],
            "proportional_amount": None if base is None else base[0],
            "paywindow": None if window is None else {"seconds_before": window[0], "seconds_after": window[1]},
            "limit": read.get("limit"),
        }
        if window is not None and window[1] > calendar.longest(unit, period):
            accepted["warnings"] = ["O8"]
    return set(), {"accepted": accepted}


def payee(given: Given) -> Finding:
    """The reader's rules, O7 to Q20, all of them; then the invoice."""
    sold, asked = messages.read_offer(given["offer"]), messages.read_request(given["request"])
    assert not sold.broken, "a payee has valid offers"
    broken, has = set(asked.broken), asked.present
    if asked.part(OFFER_TYPES) != sold.part(OFFER_TYPES):
        broken.add("offer")
    paid, now, cancel = given["paid"], given["now"], "cancel" in has
    counter, recurrence = asked.get("counter"), sold.recurrence()
    payments = paid["payments"]
    if recurrence is None:
        if has & {"counter", "start", "cancel", "prev_state"}:
            broken.add("Q10")
    elif "counter" not in has:
        if "compulsory" in sold.present or cancel:
            broken.add("Q9")
    else:
        if ("base" in sold.present) != ("start" in has):
            broken.add("Q11")
        if counter == 0 and (cancel or "prev_state" in has):
            broken.add("Q12")
        broken |= _limits(sold, asked, given["policy"])
    if counter is None and payments > 0 and "counter" not in has:
        broken.add("Q13")
    if counter is not None and counter < payments:
        broken.add("Q13")
    if counter is not None and counter > payments:
        broken.add("Q14")
    if paid["cancelled"]:
        broken.add("Q15")
    if counter and payments and asked.get("start") != paid["start"]:
        broken.add("Q20")
    if not counter and not cancel and sold.get("expiry") is not None and now > sold.get("expiry"):
        broken.add("O7")
    broken |= _quantity(sold, asked, cancel)
    if cancel:
        return broken, {"silent": {"recorded": payments > 0}}
    broken_by_price, answer = _invoice(given, sold, asked)
    return broken | broken_by_price, answer


def _limits(sold: Message, asked: Message, policy: Given) -> set[str]:
    counter, limit, most = asked.get("counter"), sold.get("limit"), policy["payments_max"]
    if counter is None:
        return set()
    index = counter + (asked.get("start") or 0)
    beyond = (limit is not None and index > limit) or (most is not None and counter + 1 > most)
    return {"Q8"} if beyond else set()


def _quantity(sold: Message, asked: Message, cancel: bool) -> set[str]:
    most, quantity = sold.get("quantity_max"), asked.get("quantity")
    if most is None:
        return {"BR7"} if "quantity" in asked.present else set()
    if quantity is None:
        return set() if cancel else {"BR7"}
    return {"BR7"} if quantity == 0 or (most > 0 and quantity > most) else set()


def _invoice(given: Given, sold: Message, asked: Message) -> Finding:
    """Q16, Q17, T7, T10; and T1, V1 to V3 for what the invoice says."""
    now, policy = given["now"], given["policy"]
    expires_at = now + policy["invoice_expiry_s"]
    basetime: int | None = None
    broken: set[str] = set()
    amount = sold.get("amount")
    if amount is not None:
        amount *= asked.get("quantity") or 1
        if amount > U64:
            broken.add("Q17")
    recurrence, counter = sold.recurrence(), asked.get("counter")
    if recurrence is not None and counter is not None:
        base = sold.get("base")
        known = given["paid"]["basetime"]
        basetime = base[1] if base is not None else known if known is not None else now
        index = counter + (asked.get("start") or 0)
        try:
            opens, closes = calendar.window(basetime, *recurrence, sold.get("paywindow"), index)
            if amount is not None:
                amount = calendar.price(amount, base is not None and base[0] == 1, basetime, *recurrence, index, now)
        except NoSuchTime:
            return broken | {"T7"}, {}
        except PeriodOver:
            broken.add("T10")
        late = closes is not None and now >= closes
        if counter > 0 and (now < opens or (late and policy["windows"] == "strict")):
            broken.add("Q16")
        if closes is not None and not late:
            expires_at = min(expires_at, closes - 1)
    chosen = asked.get("invreq_amount")
    if chosen is not None and amount is not None and chosen < amount and "T10" not in broken:
        broken.add("Q17")
    if chosen is None:
        chosen = amount
    if not chosen:
        broken.add("BR8")
    return broken, {"invoice": {"amount_msat": chosen, "basetime": basetime, "expires_at_most": expires_at}}


def payer(given: Given) -> Finding:
    """V1 and V4 to V7, T7, BI11 and BI13."""
    asked, told = messages.read_request(given["request"]), messages.read_invoice(given["invoice"])
    assert not asked.broken, "a payer asks by the rules"
    broken = set(told.broken)
    if asked.part(REQUEST_TYPES) != told.part(REQUEST_TYPES):
        broken.add("V6")
    if told.get("node_id") not in _may_sign(asked):
        broken.add("V7")
    if asked.get("invreq_amount") not in (None, told.get("invoice_amount")):
        broken.add("BI11")
    lives = told.get("relative_expiry") if "relative_expiry" in told.present else 7200
    if given["now"] > told.get("created_at") + lives:
        broken.add("BI13")
    counter, base, basetime = asked.get("counter"), asked.get("base"), told.get("basetime")
    if "basetime" not in told.present:
        return broken | {"V1"}, {}
    if basetime is None:
        return broken, {}
    if counter == 0:
        if basetime != (told.get("created_at") if base is None else base[1]):
            broken.add("V4")
    elif basetime != given["paid"]["basetime"]:
        broken.add("V5")
    recurrence = asked.recurrence()
    assert recurrence is not None, "a subscription is paid here"
    try:
        calendar.start(basetime, *recurrence, counter + (asked.get("start") or 0))
    except NoSuchTime:
        broken.add("T7")
    return broken, {"pay": {"amount_msat": told.get("invoice_amount"), "basetime": basetime}}


def _may_sign(asked: Message) -> list[bytes]:
    if "issuer_id" in asked.present:
        return [asked.get("issuer_id")]
    return [hops[-1] for hops in asked.get("offer_paths")]


def write_request(given: Given) -> Finding:
    """Q1 to Q6 from the writer's side, V9."""
    sold = messages.read_offer(given["offer"])
    recurrence = sold.recurrence()
    assert not sold.broken, "valid offers are subscribed to"
    assert recurrence is not None, "offers that recur are subscribed to"
    counter, start, now, cancel = given["paid"]["payments"], given["start"], given["now"], given["cancel"]
    assert ("base" in sold.present) == (start is not None), "Q3"
    index = counter + (start or 0)
    limit = sold.get("limit")
    over = limit is not None and index > limit
    if cancel and (counter == 0 or over):
        return set(), {"nothing": True}
    if over:
        return {"Q4"}, {}
    if counter > 0:
        base = sold.get("base")
        basetime = given["paid"]["basetime"] if base is None else base[1]
        try:
            opens, closes = calendar.window(basetime, *recurrence, sold.get("paywindow"), index)
        except NoSuchTime:
            return {"T7"}, {}
        if closes is not None and now >= closes and not cancel:
            return {"Q5"}, {}
        if now < opens:
            return set(), {"wait": {"from": opens, "before": closes}}
    state = given["paid"]["next_state"]
    if counter == 0 or (state is not None and len(bytes.fromhex(state)) > 1024):
        state = None
    [dialect] = sold.dialects
    said = {"counter": counter, "start": start, "cancel": cancel, "quantity": given["quantity"]}
    return set(), {"request": {**said, "prev_state": state, "dialect": dialect}}


def invoice_error(given: Given) -> Finding:
    """V10, in both forms that travel."""
    data = bytes.fromhex(given["invoice_error"])
    try:
        records = read_stream(data)
    except Malformed:
        size, at = bigsize(data, 0)
        assert size == len(data) - at, "the length that LDK writes"
        records = read_stream(data[at:])
    fields = {record.type: record.value for record in records}
    if 5 not in fields:
        return {"BE1"}, {}
    text = fields[5].decode()
    ends = text.startswith(("recurrence-ended:", "recurrence-changed:"))
    return set(), {"invoice_error": {"text": text, "ends_subscription": ends}}
