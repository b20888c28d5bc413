"""What any project of DVC and MLflow needs: stages, whole output files, tracking, and commands that verify results."""
