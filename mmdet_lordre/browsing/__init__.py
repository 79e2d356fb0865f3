"""Data sets in pictures: mosaics, one HTML page, and what the network is given."""
