"""From files, records and packages to documents and passages."""
