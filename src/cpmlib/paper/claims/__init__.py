"""The paper's claims, each tested on a dataset's values and on the printed ones.

`conditions` are what a statement is made of, `names` what readers call the values that they read.
`statements` has the test of each claim, and `run` judges all of them.
"""
