"""What the service costs and how it grows, measured: `make bench`."""
