"""The paper's figures: tables in, matplotlib figures out."""
