"""Networks that mmseg lacks or has in another form."""
