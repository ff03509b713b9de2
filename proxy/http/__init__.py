"""HTTP in, HTTP out: translate, call one thing, translate back."""
