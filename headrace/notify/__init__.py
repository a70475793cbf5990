"""How a notice reaches who subscribed: by HTTP(S), by e-mail, or through an external SMN."""
