"""The recurrence engine: calendar, windows, prices, mandates and the two state machines."""
