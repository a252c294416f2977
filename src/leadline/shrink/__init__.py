"""A finished run's model made smaller, and proved not worse."""
