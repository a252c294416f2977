"""Series: the kind, and its network bodies."""
