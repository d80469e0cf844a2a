"""What a person sees; the pages are to come."""
