"""What the pages are made with: page, viewer, results of the workflow."""
