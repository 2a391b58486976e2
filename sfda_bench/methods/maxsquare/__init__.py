"""MaxSquare: squared probabilities maximised in place of entropy minimised."""
