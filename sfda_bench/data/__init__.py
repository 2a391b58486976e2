"""Data sets in their native layouts, the unlabelled target view, the doctor."""
