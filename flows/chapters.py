"""Illustrate a book: one chapter, or all of them."""

from prefect import flow

from blocks.studio import open_studio
from limner.illustrating import plan_illustrations
from limner.press import BatchReport
from limner.requests import BookRequest, ChapterRequest
from tasks.press import press


@flow(name="illustrate-chapter", flow_run_name="chapter-{request.slug}", persist_result=False)
async def illustrate_chapter(request: ChapterRequest, studio: str = "default") -> BatchReport:
    """Illustrate one chapter, the most telling descriptions first.

    Args:
        request: What to illustrate, and how.
        studio: Whose bucket, ledger, providers and policies: the name of a limner-studio block.
    """
    room = await open_studio(studio)
    return await press(room, studio, request, plan_illustrations)


@flow(name="illustrate-book", flow_run_name="book-{request.slug}", persist_result=False)
async def illustrate_book(request: BookRequest, studio: str = "default") -> BatchReport:
    """Illustrate every chapter of a book, the most telling descriptions of each first.

    Args:
        request: What to illustrate, and how.
        studio: Whose bucket, ledger, providers and policies: the name of a limner-studio block.
    """
    room = await open_studio(studio)
    return await press(room, studio, request, plan_illustrations)
