"""UBNA: batch-norm statistics moved a fading step at a time."""
