"""The one training loop, its stages and checkpoints, and the teachers that answer in it."""
