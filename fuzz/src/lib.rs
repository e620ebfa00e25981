//! Fuzz targets, as functions that tests call too.
