"""PREPBUFR files as tables of reports. Knows BUFR and NCEP's conventions, nothing of assimilation."""
