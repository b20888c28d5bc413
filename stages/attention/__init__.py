"""The one model package that every stage shares."""
