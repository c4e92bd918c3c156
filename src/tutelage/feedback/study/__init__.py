"""A study: what is asked of which people about which items, on one page of YAML; and the desk that hands items out and takes answers."""
