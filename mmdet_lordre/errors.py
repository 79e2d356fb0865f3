"""What a user can put right."""


class UserError(Exception):
    """Wrong input: the message names what, where and the remedy, in one line."""
