"""The audit of print: what the printed numbers of a paper imply about each other.

No sample enters. `printed` and `relations` read what is printed and which values belong together.
`counts`, `means`, `probabilities`, `correlations` and `agreement` are the arithmetic, on intervals
of rounding. `checks_of_counts` and `checks_of_statistics` turn it into `findings`; `run` does it
all.
"""
