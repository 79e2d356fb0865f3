"""The commands; one file each, called by :mod:`.main`."""
