"""Training: the loop over epochs, and the engines that do its arithmetic."""

from attention.training.loop import Epoch, TrainingError, determining, train

__all__ = ["Epoch", "TrainingError", "determining", "train"]
