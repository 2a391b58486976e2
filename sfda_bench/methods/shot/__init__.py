"""SHOT-IM and SHOT: information maximisation under a frozen classifier, labels by centroids."""
