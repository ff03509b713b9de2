"""The OpenAPI document beyond what routes declare: names, signatures, headers, examples and callbacks."""
