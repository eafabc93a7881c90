"""Measurements of speed and memory, one command each; every command can renew its section of ``docs/performance.md``.

Run them from the repository's root, with nothing else at work on the machine.
"""
