"""What a model is worth: measures, slices, doctor."""
