"""The network as a model of MLflow."""
