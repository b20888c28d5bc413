"""The operations of ATen by kind: what each is in nodes of the graph."""
