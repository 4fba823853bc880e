"""One module a statistic; each returns the one-row table of `results`.

Methods: "observations considered as outliers were detected using ROUT method" / "was directly
compared [...] using Meng's z-tests" / "a mixed-effects model was built" / "randomly picking a
single sample per patient on each iteration"
"""
