"""The shipped models: a weights file each."""
