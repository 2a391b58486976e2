"""Confusion counts, protocols, scores and statistics: pure functions on arrays, without torch."""
