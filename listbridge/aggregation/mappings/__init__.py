"""The shipped mappings, one file a stream; a package so that they are installed with the code."""
