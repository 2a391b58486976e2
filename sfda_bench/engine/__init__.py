"""mmengine plug-ins of a stage: hooks, loops, metrics, optimisers and schedules."""
