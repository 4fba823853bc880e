"""One module a statistic; each returns the one-row table of `results`."""
