"""The laboratory's own commands, beside those of the workbench: none of them is a stage."""
