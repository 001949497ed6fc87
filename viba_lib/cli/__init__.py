"""The command line `viba`."""
