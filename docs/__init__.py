"""The site: the READMEs of the rooms as pages, and what is read off the code: settings, their schema, public functions.

    make docs                        build/docs/site/index.html

`gather` copies and links the READMEs, `settings` reads the sections of the experiment file from their structs,
`conf.py` is Sphinx's.  Nothing stands here that a README says.
"""
