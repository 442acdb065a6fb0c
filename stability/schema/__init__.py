"""Our schema in somebody's database: how it is made, placed beside their tables, known, and removed."""
