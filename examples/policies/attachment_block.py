"""
Refuse mail with attachments that run when they are opened, whatever they call themselves.

The file name is the one that a mail program would show: encoded words, RFC 2231 pieces over several lines and dots or
blanks at the end do not hide it. Archives are not looked into; that is a virus scanner's work.
"""

from pymta.policy import Message, Session, Verdict, refuse

BLOCKED = frozenset(
    [
        "bat",
        "chm",
        "cmd",
        "com",
        "cpl",
        "exe",
        "hta",
        "iso",
        "jar",
        "js",
        "jse",
        "lnk",
        "msi",
        "pif",
        "ps1",
        "reg",
        "scr",
        "sct",
        "vbe",
        "vbs",
        "vhd",
        "wsf",
        "wsh",
    ]
)
PARTS_MAX = 1000


def blocked_extension(filename: str) -> str | None:
    """What makes it dangerous: Windows ignores dots and blanks at the end, and opens by the last extension."""
    name = filename.strip().rstrip(". \t").lower()
    extension = name.rpartition(".")[2] if "." in name else ""
    return extension if extension in BLOCKED else None


def message(session: Session, message: Message) -> Verdict | None:
    parts = message.parts
    if len(parts) > PARTS_MAX:
        return refuse("554 5.6.0 too many parts")
    # Readers do not agree on which of several names they show: each of them counts.
    for filename in (name for part in parts for name in part.filenames):
        extension = blocked_extension(filename)
        if extension is not None:
            return refuse(
                f"554 5.7.1 attachments of type .{extension} are not accepted here; put it into an archive",
                reason=f"attachment {filename!r}",
            )
    return None
