"""IAPC: importance-aware and prototype-contrast learning."""
