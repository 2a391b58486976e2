"""CoTTA: an averaged teacher that labels the stream from many views, and weights that return."""
