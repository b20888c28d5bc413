"""The words of a text, on the workbench."""
