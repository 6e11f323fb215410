"""Labelled log lines of systems whose logs nobody has yet, written by a language model.

`questions` asks, `replies` reads, `gathering` goes on until there is enough, `leaks` measures what
gives a label away without being its reason, `repairs` takes it out, `command` writes a corpus.
"""
