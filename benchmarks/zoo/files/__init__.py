"""What tests and the demo take out of packages: a module of ``ITEMS`` for each kind of model."""
