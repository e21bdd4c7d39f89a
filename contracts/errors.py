"""Faults that the person at the keyboard can mend, told in one sentence: what, expected, got, what to do."""


class UserError(Exception):
    """A fault outside the code (a setting, a file, a launcher); its text is the whole message to the user."""


class ContractError(UserError):
    """A file that does not keep its contract; the text names the file, what was expected and what came."""
