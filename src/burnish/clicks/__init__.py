"""Search logs: from what people asked and clicked to queries with graded answers."""
