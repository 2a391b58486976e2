"""Tent: entropy minimised over the affine parameters of normalisation."""
