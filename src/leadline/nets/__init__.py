"""Networks: plain modules, one file an architecture."""
