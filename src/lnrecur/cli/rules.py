"""lnrecur rules: what the ids in error messages mean."""

from __future__ import annotations

import click

from lnrecur.cli.output import json_option, make_console, print_json, print_table
from lnrecur.errors import UsageError
from lnrecur.recurrence.rulebook import GROUPS, all_rules


@click.command("rules")
@click.argument("rule_ids", metavar="[ID]...", nargs=-1)
@json_option
def rules(rule_ids: tuple[str, ...], as_json: bool) -> None:
    """List the rules that errors name, such as O4; all of them, or those whose ids or groups are given."""
    wanted = {rule_id.upper() for rule_id in rule_ids}
    listed = [rule for rule in all_rules() if not wanted or wanted & {rule.id, rule.group}]
    unknown = wanted - {name for rule in listed for name in (rule.id, rule.group)}
    if unknown:
        told = f"no rule {', '.join(sorted(unknown))}; the groups are {', '.join(GROUPS)}"
        raise UsageError(told, field="id")
    if as_json:
        print_json({"rules": [{"id": rule.id, "text": rule.text, "kept_by": rule.keeper} for rule in listed]})
        return
    print_table(make_console(), ("rule", "says", "kept by"), [(rule.id, rule.text, rule.keeper) for rule in listed])
