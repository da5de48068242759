"""Which images are accepted."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.errors import InvalidRequest
from proxy_service.wire.ollama import check_image

LARGE = b64encode(bytes(range(256)) * 8192).decode()


def is_accepted(image: str) -> bool:
    try:
        check_image(image)
    except InvalidRequest:
        return False
    return True


def is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except ValueError:
        return False
    return True


@given(st.text(alphabet="AZaz09+/=?-é", max_size=12))
def test_images_are_what_the_standard_library_takes_for_base64(text: str) -> None:
    assert is_accepted(text) == is_base64(text)


@given(st.binary(max_size=50))
def test_any_bytes_in_base64_are_accepted(data: bytes) -> None:
    assert is_accepted(b64encode(data).decode())


@pytest.mark.parametrize("image", [LARGE, LARGE[:-4] + "AA==", LARGE[:-4] + "AAA="])
def test_a_large_image_is_accepted(image: str) -> None:
    assert check_image(image) == image


@pytest.mark.parametrize("position", [0, 1024 * 1024 - 1, 1024 * 1024, len(LARGE) - 1])
@pytest.mark.parametrize("character", ["?", "=", "é"])
def test_one_wrong_character_of_a_large_image_is_found(position: int, character: str) -> None:
    image = LARGE[:position] + character + LARGE[position + 1 :]

    assert is_accepted(image) == is_base64(image)


def test_line_breaks_are_removed() -> None:
    lines = "\r\n".join(LARGE[i : i + 76] for i in range(0, len(LARGE), 76))

    assert check_image(lines) == LARGE
    assert check_image(f"data:image/png;base64,{lines}") == f"data:image/png;base64,{LARGE}"
