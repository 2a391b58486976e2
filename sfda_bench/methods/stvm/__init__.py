"""STvM: self-training via metric learning."""
