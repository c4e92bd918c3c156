"""Models by hub id: found, pinned to a commit, fetched into the Hugging Face cache, checked. Imports no torch."""
