"""What a trained model is on disk: checkpoints, release files, names of styles, added styles."""
