"""Tasks, text and batches: everything between a file and a tensor."""
