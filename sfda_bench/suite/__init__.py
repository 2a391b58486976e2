"""Plan, identity, store, stage process, executors, data guard."""
