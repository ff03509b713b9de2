"""The settings of the service, read and validated once."""
