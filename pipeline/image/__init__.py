"""Operations on images: libvips set-up, colour, transfer curves and metadata."""
