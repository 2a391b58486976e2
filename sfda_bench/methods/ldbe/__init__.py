"""LDBE: the boundary enhancement that follows LD."""
