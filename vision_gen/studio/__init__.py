"""The studio: a web page on which every trained system is used by hand, from the tools that it declares.

`server` binds and serves, `library` lists and loads runs, `page` is what a visitor sees, `inputs` and `outputs` have
what belongs to each kind of value, `canvas` is drawn on, `visit` runs tools in threads and records them, and `views`
are pages for certain systems. It is built on Panel and Bokeh, whose tools draw strokes and points and whose server
keeps a document for each visitor, so that no JavaScript is needed here.
"""
