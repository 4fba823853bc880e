"""What a study brings: tables, BIDS files, choices, printed values."""
