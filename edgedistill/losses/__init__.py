"""Losses: pure functions of tensors to a scalar, padding masked by construction, each unit documented."""
