"""Messages of Amazon SNS: their signatures, and the confirmation of a subscription."""
