"""A network as programs: what the compiler is told of it, and the attention that it pays."""
