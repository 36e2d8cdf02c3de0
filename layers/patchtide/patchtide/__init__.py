"""Patchtide: fleets of servers patched over many AWS accounts and Regions, hands off."""
