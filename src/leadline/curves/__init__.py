"""Learning curves of a finished run: scores over the number of labelled rows."""
