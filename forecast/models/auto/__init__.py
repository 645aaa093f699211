"""The bank of forms of `auto_ssm`, its fits and its choice among them."""
