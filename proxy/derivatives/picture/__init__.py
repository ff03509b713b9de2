"""What a page needs to know of one picture: kept in the metadata of derivatives, read, and looked up."""
