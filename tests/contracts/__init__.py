"""One contract suite for each plug-in point; a plug-in's author subclasses it."""
