"""Who is who: passwords, keys, tokens, and the vault for secrets. What they may do is ``headrace.domain.rights``."""
