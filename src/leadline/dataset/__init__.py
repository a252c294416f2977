"""From a source to encoded tensors: table, target, audit, split, store."""
