"""`tutelage label`: what people judge. One file for each subcommand."""
