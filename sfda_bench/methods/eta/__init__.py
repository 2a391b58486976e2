"""ETA: entropy of the pixels that are certain and unlike what was seen."""
