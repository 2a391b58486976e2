"""Reported numbers, verdicts, tables, pages: pure functions of records; no torch."""
