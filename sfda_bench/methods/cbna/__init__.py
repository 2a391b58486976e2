"""CBNA: batch-norm statistics of one image mixed into those of the source."""
