"""The commands; one file each, run by :mod:`.main`."""
