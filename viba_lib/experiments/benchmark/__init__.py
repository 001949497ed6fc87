"""The bottleneck compared with every method that the paper names."""
