"""minnow's pictures as scenes of icons."""
