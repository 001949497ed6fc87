"""The bottleneck against every method the paper names, where the answer is known."""
