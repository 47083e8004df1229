"""What HTTP asks of every address: the edge of each request, its span, its words for no, its document."""
