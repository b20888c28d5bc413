"""What MLflow shows of the laboratory."""
