"""What the book adds to Sphinx: each module is an extension, which `stage.py` registers."""
