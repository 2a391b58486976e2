"""The regression check: a suite's results against a committed baseline."""
