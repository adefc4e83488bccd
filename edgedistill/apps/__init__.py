"""What goes into an app: the files of an artifact that ship, proven unchanged."""
