"""Image formats: recognition, encoder options, and checks of a file's structure before it is decoded."""
