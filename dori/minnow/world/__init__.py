"""minnow's world: scenes of icons, their captions, and who is in it."""
