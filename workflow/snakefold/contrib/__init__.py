"""Components for particular circuits; they are imported where a description names them."""
