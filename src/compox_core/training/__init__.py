"""What a training learns from: samples of data files, and how a `train` method gets at them."""
