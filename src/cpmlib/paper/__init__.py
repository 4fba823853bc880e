"""The paper's analyses, one module for each part of its Results, in terms of the topic modules."""
