"""Which Patchtide this is."""

VERSION = "0.1.0"
