"""ADVENT: adversarial entropy (AdvEnt) and direct entropy (MinEnt)."""
