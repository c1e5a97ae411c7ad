"""Pure decisions meet the world: load, step, save state and outbox in one transaction, perform effects."""
