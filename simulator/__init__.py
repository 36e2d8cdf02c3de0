"""A pretend AWS organisation under a virtual clock: the demo, the rehearsal and the reliability proof stand on it."""
