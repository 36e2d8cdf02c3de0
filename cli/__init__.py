"""The operator's command `patchtide`."""
