"""What else a reader has to know before any figure: pictures that show nothing, prompts that were cut."""

from dori.results.reading.rows import Rows


def defects(rows: Rows) -> list[str]:
    """A sentence for each setting and kind with blank pictures, and one for prompts that were cut.

    >>> row = {"setting": "wanda", "kind": "unseen", "metrics": {}, "cut_prompts": 2, "blank_images": 8}
    >>> for sentence in defects([row]):
    ...     print(sentence)
    wanda, unseen: all 8 pictures are of one colour, so there is no rate.
    Cut to what the text encoder takes: 2 unseen prompts; a prompt that is cut is not the one it was.
    """
    found = [
        f"{row['setting']}, {row['kind']}: {_blank(row['blank_images'], bool(row['metrics']))}"
        for row in rows
        if row.get("blank_images")
    ]
    cut: dict[str, int] = {}
    for row in rows:
        cut[row["kind"]] = max(cut.get(row["kind"], 0), row.get("cut_prompts", 0))
    told = ", ".join(f"{count} {kind}" for kind, count in cut.items() if count)
    if told:
        found.append(
            f"Cut to what the text encoder takes: {told} prompts; a prompt that is cut is not the one it was."
        )
    return list(dict.fromkeys(found))


def _blank(count: int, measured: bool) -> str:
    if measured:
        return f"{count} pictures are of one colour, and count as no copies."
    return f"all {count} pictures are of one colour, so there is no rate."
