"""SAR: entropy of certain pixels at the sharpest point near the weights."""
