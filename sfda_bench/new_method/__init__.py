"""Scaffold of a new method's files, and the contract test that every method must pass."""
