"""Plain photographs made ready for try-on: published models that look at them, regions for want of a parser, files."""
