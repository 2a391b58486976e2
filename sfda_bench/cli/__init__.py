"""The commands: all parsing of arguments and all printing."""
