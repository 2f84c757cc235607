"""From pairs to a tuned, released model."""
