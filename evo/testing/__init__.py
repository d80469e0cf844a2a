"""What tests of the platform and of plug-ins need; nothing here runs in a search."""
