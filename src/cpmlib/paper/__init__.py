"""The paper's analyses: one module a part of its Results, and the ledger of printed values.

Methods: "These analyses accounting for non-independent observations were conducted to confirm the
results of the first analysis which assumed independent observations."
"""
