"""The seal around a stage that must not see labels: kernel calls, namespaces, guard."""
