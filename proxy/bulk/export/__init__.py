"""Export: what pages need to know of all pictures, as a table for the database of a site."""
