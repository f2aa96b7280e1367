"""Loop nest in, text or bytes out; one file per target. Never touches a driver."""
