"""The addresses at which browsers read blobs."""

from __future__ import annotations

from proxy.keys.addresses import PublicAddresses


def test_an_address_ends_in_the_version_only_if_there_are_versions_and_this_one_is_known() -> None:
    plain, versioned = PublicAddresses("/files"), PublicAddresses("https://a.example/", has_versions=True)
    assert plain.of("a b?v=1.jpg", "0123") == "/files/a%20b%3Fv%3D1.jpg"
    assert versioned.of("a b?v=1.jpg", "0123") == "https://a.example/a%20b%3Fv%3D1.jpg?v=0123"
    assert versioned.of("a.jpg", "") == "https://a.example/a.jpg"
