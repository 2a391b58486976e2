"""Replays of the authors' own programs: recorded iterations, made again by our adapters."""
