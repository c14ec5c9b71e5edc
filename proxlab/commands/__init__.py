"""The command line, one file a command; all options are in `arguments`.

May import every room, and no room imports it. `main` and `arguments` load neither torch nor
deepinv, so that --help is quick.
"""
