"""The command line over a project: a module for each command."""
