"""The specification curves: the main claims under every combination of the paper's open choices.

`choices` lists what is varied and `claims` what is tested. `run` analyses each claim in each
specification, `null_cohorts` does so where there is nothing to find, and `summary` counts.
"""
