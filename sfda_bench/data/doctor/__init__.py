"""Checks of data sets: every way a number was known to go wrong because of its data, by name."""
