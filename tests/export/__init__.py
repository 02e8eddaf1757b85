"""Tests of amorph.export; a package, so that its modules may share their names with others."""
