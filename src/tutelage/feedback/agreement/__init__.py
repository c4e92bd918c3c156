"""How far people agree: votes in, numbers with intervals out."""
