"""MoneyNode adapters."""
