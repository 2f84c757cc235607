"""Models, and texts as their vectors, each computed once."""
