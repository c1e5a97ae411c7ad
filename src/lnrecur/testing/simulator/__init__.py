"""The simulator: years of subscriptions between real services in minutes, with everything going wrong that can.

    outcome = await World(make_plan(Scale(seed=1, seconds=YEAR, subscriptions=10, faults=LIGHT))).run()
    assert outcome.breach is None

`promises` say what must hold of the `facts`, `plan` what happens, `fate` what goes wrong; `witness` looks on, `world`
runs it, `minimiser` makes a broken world small. `lnrecur simulate` is the command.
"""
