"""Services as Consul knows them: how each is now, and how it was.

`consul` asks, `catalogue` is what was answered, `observer` follows it and writes what changed by way of `records`;
`api` and `config` answer requests from the tables alone, `settings` are the operator's.
"""
