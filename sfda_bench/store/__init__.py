"""Files on disk shared by planning, running and boards: stage folders and records."""
