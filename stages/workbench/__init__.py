"""What any project of DVC and MLflow needs: stages that end well, whole files, tracking, proofs."""
