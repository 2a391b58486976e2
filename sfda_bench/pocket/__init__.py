"""Renderer of the pocket world: small street scenes in the native layouts of the real data sets."""
