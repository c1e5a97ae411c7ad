"""RecurrenceManager on SQL databases."""
