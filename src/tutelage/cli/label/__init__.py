"""`tutelage label`: one file for each subcommand."""
