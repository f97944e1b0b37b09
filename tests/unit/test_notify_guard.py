"""A webhook goes to a public https address and nowhere else."""

import asyncio

import pytest

from adapters.notify import guard
from adapters.notify.guard import ForbiddenTarget, Target


def check(url: str, *addresses: str, allow_loopback: bool = False) -> Target:
    async def resolver(_host: str, _port: int) -> list[str]:
        if not addresses:
            raise OSError(-2, "Name or service not known")
        return list(addresses)

    return asyncio.run(guard.check(url, allow_loopback=allow_loopback, resolver=resolver))


def test_a_public_address_is_pinned_and_the_name_kept() -> None:
    target = check("https://hooks.example.com:8443/a/b?c=d", "93.184.215.14", "2606:2800:21f:cb07::1")
    assert str(target.url) == "https://93.184.215.14:8443/a/b?c=d"
    assert target.host_header == "hooks.example.com:8443"
    assert target.server_name == "hooks.example.com"


def test_an_ipv6_address_is_bracketed() -> None:
    assert str(check("https://hooks.example.com/x", "2606:2800:21f:cb07::1").url) == "https://[2606:2800:21f:cb07::1]/x"


def test_an_international_name_is_sent_in_ascii() -> None:
    target = check("https://münchen.example/x", "93.184.215.14")
    assert target.host_header == target.server_name == "xn--mnchen-3ya.example"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104 -- refused, not bound to
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
    ],
)
def test_no_address_that_is_not_public(address: str) -> None:
    with pytest.raises(ForbiddenTarget, match="public"):
        check("https://hooks.example.com/", address)
    with pytest.raises(ForbiddenTarget):  # one bad address among good ones is enough
        check("https://hooks.example.com/", "93.184.215.14", address)


@pytest.mark.parametrize(
    "literal", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "localhost"]
)
def test_every_spelling_of_loopback_is_seen_by_the_real_resolver(literal: str) -> None:
    with pytest.raises(ForbiddenTarget):
        asyncio.run(guard.check(f"https://{literal}/"))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "//hooks.example.com/",
        "hooks.example.com",
        "",
        "https://",
        "https://user@hooks.example.com/",
        "https://user:password@hooks.example.com/",
        "https://:@hooks.example.com/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/\n",
        "https://" + "a" * 3000,
    ],
)
def test_no_other_form_of_url(url: str) -> None:
    with pytest.raises(ForbiddenTarget):
        check(url, "93.184.215.14")


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(ForbiddenTarget, match="doesn't resolve: Name or service not known"):
        check("https://nowhere.example/")


def test_loopback_only_where_it_is_allowed() -> None:
    assert check("http://localhost:8080/x", "127.0.0.1", allow_loopback=True).host_header == "localhost:8080"
    assert check("https://localhost/x", "::1", allow_loopback=True)
    with pytest.raises(ForbiddenTarget, match="https is needed outside loopback"):
        check("http://hooks.example.com/", "93.184.215.14", allow_loopback=True)
    with pytest.raises(ForbiddenTarget):
        check("https://hooks.example.com/", "10.0.0.1", allow_loopback=True)
    with pytest.raises(ForbiddenTarget):  # a name with one foot in each
        check("http://hooks.example.com/", "127.0.0.1", "93.184.215.14", allow_loopback=True)
