"""One room for each question about a structure; whatever is compiled is in its room."""
