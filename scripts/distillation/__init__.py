"""What `train_codec.py` is made of: student, crops, teacher and loss."""
