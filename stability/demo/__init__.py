"""A small honest workload: a CSV file goes through `import_job`, then analytics tasks compute over its rows.

It knows nothing of the server, and the server nothing of it: both meet in the database, as any writer and the badge do.
"""
