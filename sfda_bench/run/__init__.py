"""Running a plan: executors, stage processes, the seal, records of what finished."""
