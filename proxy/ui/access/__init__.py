"""Who may open the pages: a browser on this machine, or one that has logged in."""
