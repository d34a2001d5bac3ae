"""The contact sheet: one HTML page that shows a batch, by itself or with its pictures by link.

Knows nothing of the ledger or the bucket; the caller brings each picture's bytes, or where they lie, and what is to be
read beside it.
"""

from limner.sheet.writing import SheetPicture, pieces, stream_sheet, write_sheet

__all__ = ["SheetPicture", "pieces", "stream_sheet", "write_sheet"]
