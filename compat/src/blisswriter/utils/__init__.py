"""Small things that BLISS takes from its writer."""
