"""The answer of an experiment in the forms of others: one dataset, GRIB2, a table of departures."""
