"""The archive: every accepted event as Parquet, exactly once, for as long as the files are kept."""
