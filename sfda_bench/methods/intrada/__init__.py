"""IntraDA: adaptation from easy target images to hard ones."""
