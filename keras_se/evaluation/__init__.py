"""Accuracies of networks on held-out images, and reports of runs."""
