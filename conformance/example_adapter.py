"""An example of a program under test: it answers two operations and calls the rest unsupported.

lnrecur conformance run --command "python conformance/example_adapter.py"
"""

import json
import sys

LAST_SECOND = 2**64 - 1
ENDS = ("recurrence-ended:", "recurrence-changed:")


def period_start(asked):
    """Seconds and days; this example has no calendar for months."""
    if asked["time_unit"] > 2:
        return {"refused": "T7"}
    if asked["time_unit"] == 2:
        return {"unsupported": True}
    length = asked["period"] * (86_400 if asked["time_unit"] == 1 else 1)
    start = asked["basetime"] + asked["n"] * length
    return {"seconds_since_epoch": start} if start <= LAST_SECOND else {"refused": "T7"}


def invoice_error(asked):
    """Text of field 5, and whether it ends the subscription; LDK's length in front of the fields is skipped."""
    data = bytes.fromhex(asked["invoice_error"])
    fields = data[1:] if data[0] == len(data) - 1 else data
    while fields[0] != 5:
        fields = fields[2 + fields[1] :]
    text = fields[2 : 2 + fields[1]].decode()
    return {"invoice_error": {"text": text, "ends_subscription": text.startswith(ENDS)}}


OPERATIONS = {"period_start": period_start, "invoice_error": invoice_error}

for line in sys.stdin:
    question = json.loads(line)
    operation = OPERATIONS.get(question["op"], lambda _: {"unsupported": True})
    print(json.dumps({"id": question["id"], **operation(question)}), flush=True)
