"""Text as a terminal may have it: names of files and classes can hold anything, also what moves the cursor."""


def printable(text: str) -> str:
    """Return the text with all that is neither printable nor a line's end written as an escape, such as \\x1b."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)
