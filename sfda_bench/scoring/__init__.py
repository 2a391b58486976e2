"""Confusion counts, protocols, scores, statistics: pure functions."""
