"""LD and LDBE: positive and negative labels, then labels on mixed images."""
