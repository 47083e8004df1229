"""How fast and how large the product is, measured in a way that can be repeated: `make bench`."""
