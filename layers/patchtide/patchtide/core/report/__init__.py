"""The report of a run: its numbers (`figures`), its files for programs (`tables`), its page for people (`page`)."""
