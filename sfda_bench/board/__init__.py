"""Reported numbers, verdicts, tables, pages, regression check."""
