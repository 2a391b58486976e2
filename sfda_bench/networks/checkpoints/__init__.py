"""Checkpoint files: recognised, read strictly, converted, exported, written."""
