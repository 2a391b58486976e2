"""One file a method, holding only what is particular to it."""
