"""Applications: what their containers do, as the engine says, kept in a table with the moment at which it said so.

`engine` asks Docker or whatever speaks its API, `compose` knows an application's file and project, `status` what both
mean; `rows` are the table, `refresh` asks and writes, `watcher` does so by itself, `figures` count how well that goes.
"""
