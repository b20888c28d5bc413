"""From a torch module to a compiled training step."""
