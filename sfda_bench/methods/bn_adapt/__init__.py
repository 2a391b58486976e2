"""Batch-norm statistics of the target, before or during the stream."""
