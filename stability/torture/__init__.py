"""The history checker: random transactions that overlap, faults in between, and what every client showed meanwhile.

It judges real servers, without periodic re-reads and with them, and the naive design on the same seeds. All happens in
databases of its own, which it drops again; no other is touched. But it loads the server that they are on and kills
backends of its own there, so a scratch server is the place for it.

Not struck: Postgres itself, which is somebody else's; and the instants within a commit, which
`tests/test_register_explored.py` goes through one by one.
"""
