"""Stability: a live status badge over Postgres that never lies.

    your tables ──trigger: "look"──▶ NOTIFY ──▶ listener ──hint──▶ refresher ──state──▶ hub ──bytes──▶ stream ──▶ client
                                                                      │ reads committed rows              │
                                                                   database ◀──── details (on demand) ◀───┘

`stream` says what a client has to be told, `fanout` writes to all whose connections its `protocol` handed off, and its
`express` lets a herd in that asks for nothing else than the badge. The modules beside this one are that flow and what
joins it; every folder is one subject, and `http` what is asked beside the stream.

The import rule: `database` and `hub` know no other part, but for how an error is `contained`; the listener gets
callables, refresher and stream the hub. `app` joins the parts into a server, `direct` into a follower without one; only
`run` says which processes there are. `monitors/` holds what is watched, `alerts` tells people who look at no page.

The recovery rule: whatever failed, the listener is replaced, LISTEN comes first, then the state is read, then it is
pushed to the clients already connected. Start, reconnect and failover are one path; in between the state is unknown.
An error that nobody foresaw is `contained`: the part that met it begins again, the others go on.
"""

__version__ = "0.1.0"
