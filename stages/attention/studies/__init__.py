"""Many trainings compared: the grid's configurations, each with many seeds."""
