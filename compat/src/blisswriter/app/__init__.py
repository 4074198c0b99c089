"""How BLISS finds its writer."""
