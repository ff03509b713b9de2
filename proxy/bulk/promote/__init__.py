"""Copy the derivatives of the shadow to their live names."""
