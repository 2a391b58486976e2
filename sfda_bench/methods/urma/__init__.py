"""URMA: pseudo-labels, entropy, and the disagreement of decoders behind dropout."""
