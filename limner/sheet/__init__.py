"""The contact sheet: one self-contained HTML page that shows a batch.

Knows nothing of the ledger or the bucket; the caller brings each picture's bytes and what is to be read beside it.
"""

from limner.sheet.writing import SheetPicture, stream_sheet, write_sheet

__all__ = ["SheetPicture", "stream_sheet", "write_sheet"]
