"""Forecasters, one family per file; the words for them are the files of conf/model/."""
