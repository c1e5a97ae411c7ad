"""Backups: a daemon's whole state in one encrypted file, and back. docs/backup.md is the page about it."""
