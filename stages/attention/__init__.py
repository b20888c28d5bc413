"""The laboratory for attention functions, on the workbench."""
