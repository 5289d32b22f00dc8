"""
The zones that the tests of `dns` and `route` ask a real server for. Names say what they are for.
"""

MANY_HOSTS = 500
ADDRESSES_PER_HOST = 50


def _many() -> str:
    """attacks.md, row 29: one domain, 500 hosts of 50 addresses each."""
    lines = []
    for host in range(MANY_HOSTS):
        lines.append(f"many MX {10 + host} h{host}.many")
        lines += [f"h{host}.many A 10.{host // 250}.{host % 250}.{n + 1}" for n in range(ADDRESSES_PER_HOST)]
    return "\n".join(lines)


EXAMPLE = f"""
@           MX 10 mx1
@           MX 20 mx2
mx1         A 192.0.2.1
mx1         AAAA 2001:db8::1
mx2         A 192.0.2.2
only4       A 192.0.2.4
only6       AAAA 2001:db8::6
text        TXT "v=spf1 " "-all"

null        MX 0 .
null-beside MX 0 .
null-beside MX 10 mx1
implicit    A 192.0.2.7
implicit    AAAA 2001:db8::7
no-address  TXT "exists, and that is all"
to-nowhere  MX 10 nowhere
to-empty    MX 10 no-address
to-broken   MX 10 mx.broken.test.
half-broken MX 10 mx.broken.test.
half-broken MX 20 mx2
junk        MX 10 not\\032a\\010host
equal       MX 10 e1
equal       MX 10 e2
equal       MX 10 e3
equal       MX 10 e4
e1          A 192.0.2.11
e2          A 192.0.2.12
e3          A 192.0.2.13
e4          A 192.0.2.14
twice       MX 10 mx1
twice       MX 20 mx1

alias       CNAME www
www         CNAME mx1
alias-mx    CNAME @
to-alias    MX 10 alias
far         CNAME mx.other.test.
dangling    CNAME nothing-here
loop-a      CNAME loop-b
loop-b      CNAME loop-a
chain0      CNAME chain1
chain1      CNAME chain2
chain2      CNAME chain3
chain3      CNAME chain4
chain4      CNAME chain5
chain5      CNAME chain6
chain6      CNAME chain7
chain7      CNAME chain8
chain8      CNAME chain9
chain9      CNAME chain10
chain10     CNAME mx1

us-first    MX 10 us
us-first    MX 20 mx2
us-backup   MX 10 mx1
us-backup   MX 20 us
us-backup   MX 20 mx2
us-backup   MX 30 e1
us-by-address  MX 10 mx1
us-by-address  MX 20 other-name-of-us
us-by-address  MX 20 e2
us          A 192.0.2.99
other-name-of-us A 192.0.2.99
us-implicit A 192.0.2.99

loopback    MX 10 local
local       A 127.0.0.1
local       A 0.0.0.0
local       AAAA ::1
some-loopback MX 10 local
some-loopback MX 20 mx2

backup-of-big MX 10 h0.many
backup-of-big MX 20 mx2
short   5    A 192.0.2.20
zero    0    A 192.0.2.21
{_many()}
"""

OTHER = """
@   MX 10 mx
mx  A 198.51.100.1
hosted    MX 20 mx2.example.test.
hosted    MX 10 mx1.example.test.
"""

REVERSE = "1 PTR mx1.example.test.\n"

ZONES = {"example.test": EXAMPLE, "other.test": OTHER, "2.0.192.in-addr.arpa": REVERSE}
BROKEN = ("broken.test",)
NEGATIVE_TTL_S = 120
