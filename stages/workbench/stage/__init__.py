"""What every stage script needs, whatever it computes."""
