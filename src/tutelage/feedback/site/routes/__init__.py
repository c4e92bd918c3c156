"""Pages and the interface for programs, a file for each part of the site."""
