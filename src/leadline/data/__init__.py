"""From what the user points at to batches: source, table, audit, split."""
