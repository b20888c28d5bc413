"""Training: the loop over epochs, and the engines that do its arithmetic."""

from attention.training.engines import attention_of
from attention.training.loop import Epoch, TrainingError, determining, train

__all__ = ["Epoch", "TrainingError", "attention_of", "determining", "train"]
