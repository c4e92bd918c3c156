"""What a run would cost, before: measured on a miniature of it where that can be made, by arithmetic otherwise."""
