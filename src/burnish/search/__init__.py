"""Finding passages: exactly, approximately, by words; runs and the index."""
