"""Patchtide: fleets of servers patched over many AWS accounts and Regions, hands off."""

__version__ = "0.1.0"
