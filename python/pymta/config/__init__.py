"""
Settings: one TOML file, typed and checked once, frozen, then handed to each part of the server as its own section.

Which options exist is in `settings/`, how they are read in `load.py`, what must not be combined in `checks.py`. Nothing
here is asked for an option at run time.
"""
