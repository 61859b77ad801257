"""Each kind of file that the documentation lists is read with what is told of it, or refused in one sentence."""

from __future__ import annotations

import pytest
from helpers import read_found
from record_cases import CASES, RecordCase

from flaxchar import InputError

REFUSED = {
    "a bare comma in a text",
    "a row with too few columns",
    "no such column",
    "a list as a label",
    "chat messages",
    "numbers as texts",
    "a broken line",
    "Parquet without such a column",
    "damaged Parquet",
}


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_a_case_is_read_or_refused_by_name(write, case: RecordCase):
    path = write(case.name, case.content)
    if case.title in REFUSED:
        with pytest.raises(InputError) as error:
            read_found(path, **case.options)
        message = str(error.value)
        assert message.startswith(path)
        assert "\n" not in message
    else:
        assert read_found(path, **case.options)[0]
