//! Messages as an mbox (mboxrd).

use std::io::{self, BufRead, BufReader, Read, Write};

use super::from_line::FROM;
use super::{fields, from_line};

/// Of a message, as much is read at a time; a longer line is taken in pieces.
const PIECE_OCTETS: u64 = 64 << 10;
/// In what is longer, another program's fields are not looked for.
const HEADER_OCTETS_MAX: usize = 256 << 10;
/// A longer address is named to nobody.
const ADDRESS_OCTETS_MAX: usize = 256;

/// What is said of a message beside its content.
pub(super) struct Sheet<'a> {
    pub(super) date_s: i64,
    pub(super) flags: u8,
    pub(super) keywords: &'a [&'a str],
}

/// Writes a message: lines as Unix has them, and an empty one behind it.
pub(super) fn write(out: &mut impl Write, message: impl Read, sheet: &Sheet<'_>) -> io::Result<()> {
    let mut source = BufReader::with_capacity(1 << 15, message);
    let (mut header, mut line) = (Vec::new(), Vec::new());
    // Ends with `line` as what is behind the header section, or nothing.
    while next(&mut source, &mut line)? && line != b"\n" && header.len() < HEADER_OCTETS_MAX {
        header.extend_from_slice(&line);
    }
    let (mut header, _) = fields::split(&header);
    let mut begin = Vec::new();
    from_line::write(&mut begin, reverse_path(&header), sheet.date_s);
    // In front, where no field of the message can be cut in two by them; but a first line that begins with a blank would
    // go on with the last of them.
    let goes_on = header.starts_with(b" ") || header.starts_with(b"\t");
    let of_flags = if goes_on && header.ends_with(b"\n") {
        &mut header
    } else {
        &mut begin
    };
    fields::write(of_flags, sheet.flags, sheet.keywords);
    out.write_all(&begin)?;
    let mut at = At::Start;
    for line in header.split_inclusive(|&octet| octet == b'\n') {
        at = put(out, line, at)?;
    }
    while !line.is_empty() {
        at = put(out, &line, at)?;
        next(&mut source, &mut line)?;
    }
    out.write_all(if at == At::Start { b"\n" } else { b"\n\n" })
}

/// Where the next octet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the beginning of a line.
    Start,
    /// Behind nothing but `>`, in a line that was taken in pieces.
    Quotes,
    Within,
}

/// The next line with its ending, or what is looked at of it at a time; false at the end.
fn next(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    source.take(PIECE_OCTETS).read_until(b'\n', line)?;
    // Not cut where it may have to be escaped, nor within its ending.
    while is_cut_in_from(line) && source.by_ref().take(1).read_until(b'\n', line)? > 0 {}
    if line.ends_with(b"\r") && source.fill_buf()?.first() == Some(&b'\n') {
        line.push(b'\n');
        source.consume(1);
    }
    if line.ends_with(b"\r\n") {
        line.truncate(line.len() - 2);
        line.push(b'\n');
    }
    Ok(!line.is_empty())
}

/// Whether it is `>`, however many, and a part of `From `.
fn is_cut_in_from(line: &[u8]) -> bool {
    let quotes = quotes(line);
    let rest = &line[quotes..];
    !rest.is_empty() && rest.len() < FROM.len() && FROM.starts_with(rest)
}

fn quotes(line: &[u8]) -> usize {
    line.iter().take_while(|&&octet| octet == b'>').count()
}

/// With one more `>` in front of `From `, however many there are.
fn put(out: &mut impl Write, line: &[u8], at: At) -> io::Result<At> {
    let quotes = quotes(line);
    if at != At::Within && line[quotes..].starts_with(FROM) {
        out.write_all(b">")?;
    }
    out.write_all(line)?;
    Ok(match at {
        _ if line.ends_with(b"\n") => At::Start,
        At::Start | At::Quotes if quotes == line.len() => At::Quotes,
        _ => At::Within,
    })
}

/// As the delivery noted it.
fn reverse_path(header: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"return-path:";
    let mut lines = header.split(|&octet| octet == b'\n');
    let has_name = |line: &&[u8]| {
        line.get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    };
    let value = lines.find(has_name)?[NAME.len()..].trim_ascii();
    let address = value.strip_prefix(b"<")?.strip_suffix(b">")?;
    let is_plain = address.iter().all(u8::is_ascii_graphic);
    (is_plain && (1..=ADDRESS_OCTETS_MAX).contains(&address.len())).then_some(address)
}
