"""BOLT 12 messages: offers, invoice requests, invoices and invoice errors, with their recurrence fields."""
