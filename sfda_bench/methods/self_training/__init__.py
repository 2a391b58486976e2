"""Self-training in rounds: ST, CBST and CRST (MRKLD, LRENT)."""
