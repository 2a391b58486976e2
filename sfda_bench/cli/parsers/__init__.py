"""The flags of every command, a module a room; cheap to import."""
