"""Image references with the digests that are recorded for them."""

from infra.image_digests import pinned


def test_a_digest_is_appended_to_exactly_the_reference_it_was_read_for() -> None:
    digests = {"image:1": "sha256:abc"}
    assert pinned("image:1", digests) == "image:1@sha256:abc"
    assert pinned("image:2", digests) == "image:2"
