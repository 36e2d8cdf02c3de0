"""One short story per function: load, decide, save, perform. The cloud is asked through the Protocols of `cloud`."""
