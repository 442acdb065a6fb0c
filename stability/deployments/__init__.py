"""Deployments: made by the machine API, waited for until they answer, then looked at again and again.

`monitor` is the whole of it, `starts` brings a new one to life, `prober` looks at one that lives, `rows` are the table.
"""
