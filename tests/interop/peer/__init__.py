"""A second peer of the Moorline protocol, written from `core/PROTOCOL.md` and its vectors alone.

It is there to be tested against. Its integers are Python's, so it promises nothing about time.
"""
