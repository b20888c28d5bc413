"""The same trainings written by other hands, each as those who know its tools best would write it."""
