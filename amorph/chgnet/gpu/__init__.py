"""The network in torch, for a GPU."""
