//! The argument of MAIL FROM and RCPT TO up to the closing bracket (RFC 5321 §4.1.2).
//!
//! ```abnf
//! Reverse-path = Path / "<>"
//! Forward-path = Path
//! Path         = "<" [ A-d-l ":" ] Mailbox ">"
//! A-d-l        = At-domain *( "," At-domain )
//! At-domain    = "@" Domain
//! ```
//!
//! - A source route is accepted and stripped (§4.1.1.3, appendix C): only the mailbox decides what may be relayed.
//! - Lenient: spaces between the colon and the bracket, as in `MAIL FROM: <a@b>`. It is the most common deviation of
//!   devices and scripts, and nothing else could be meant.
//! - Strict: without brackets there is no path. `MAIL FROM:a@b SIZE=1` would have two readings where a local part may
//!   hold what starts a parameter.

use pymta_types::{Address, AddressError, is_domain};

/// Why an argument is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathError {
    /// No `FROM:` or `TO:`, no bracket, or something that is not a space behind it.
    Form,
    /// The source route is malformed.
    Route,
    /// The mailbox is not an address.
    Address(AddressError),
}

/// Reads `keyword` (such as `FROM:`), a path and the text of its parameters. None is the null path.
pub(crate) fn parse<'a>(
    argument: &'a [u8],
    keyword: &[u8],
) -> Result<(Option<Address>, &'a [u8]), PathError> {
    let (found, rest) = argument.split_at_checked(keyword.len()).ok_or(PathError::Form)?;
    if !found.eq_ignore_ascii_case(keyword) {
        return Err(PathError::Form);
    }
    let rest = rest
        .trim_ascii_start()
        .strip_prefix(b"<")
        .ok_or(PathError::Form)?;
    let end = closing_bracket(rest).ok_or(PathError::Form)?;
    let (path, parameters) = (&rest[..end], &rest[end + 1..]);
    if !matches!(parameters.first(), None | Some(b' ')) {
        return Err(PathError::Form);
    }
    if path.is_empty() {
        return Ok((None, parameters));
    }
    let address = Address::parse(without_route(path)?).map_err(PathError::Address)?;
    Ok((Some(address), parameters))
}

/// Where the `>` is that is not inside a quoted string.
fn closing_bracket(octets: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    octets.iter().position(|&octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' => return !quoted,
            _ => {}
        }
        false
    })
}

/// The mailbox behind a source route.
fn without_route(path: &[u8]) -> Result<&[u8], PathError> {
    if path.first() != Some(&b'@') {
        return Ok(path);
    }
    let colon = path.iter().position(|&o| o == b':').ok_or(PathError::Route)?;
    let route = std::str::from_utf8(&path[..colon]).map_err(|_| PathError::Route)?;
    let well_formed = route
        .split(',')
        .all(|hop| hop.strip_prefix('@').is_some_and(is_domain));
    if well_formed {
        Ok(&path[colon + 1..])
    } else {
        Err(PathError::Route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(argument: &str) -> Result<(Option<String>, String), PathError> {
        parse(argument.as_bytes(), b"FROM:").map(|(address, rest)| {
            (
                address.map(|a| a.as_str().to_owned()),
                String::from_utf8(rest.to_vec()).unwrap(),
            )
        })
    }

    #[test]
    fn paths_of_the_grammar() {
        for (argument, address, rest) in [
            ("FROM:<>", None, ""),
            ("FROM:<a@b>", Some("a@b"), ""),
            ("from:<a@b> SIZE=1", Some("a@b"), " SIZE=1"),
            ("FROM: <a@b>", Some("a@b"), ""),
            ("FROM:<\"a>b\"@c>", Some("\"a>b\"@c"), ""),
            ("FROM:<\"a\\\">b\"@c>", Some("\"a\\\">b\"@c"), ""),
            ("FROM:<@x:a@b>", Some("a@b"), ""),
            ("FROM:<@x,@y.z:a@b>", Some("a@b"), ""),
            ("FROM:<Postmaster>", Some("Postmaster"), ""),
        ] {
            assert_eq!(Ok((address.map(str::to_owned), rest.to_owned())), path(argument));
        }
    }

    #[test]
    fn what_is_no_path() {
        use PathError::*;
        for (argument, error) in [
            ("", Form),
            ("FROM", Form),
            ("TO:<a@b>", Form),
            ("FROM:a@b", Form),
            ("FROM:<a@b", Form),
            ("FROM:<a@b>x", Form),
            ("FROM:<a@b>>", Form),
            ("FROM:<\"a@b>", Form),
            ("FROM:<@x>", Route),
            ("FROM:<@x,y:a@b>", Route),
            ("FROM:<@x:@y:a@b>", Address(AddressError::LocalPart)),
            ("FROM:<@x.:a@b>", Route),
            ("FROM:< a@b>", Address(AddressError::LocalPart)),
            ("FROM:<a\r@b>", Address(AddressError::LocalPart)),
            ("FROM:<a@b@c>", Address(AddressError::Domain)),
            ("FROM:<a@b.>", Address(AddressError::Domain)),
        ] {
            assert_eq!(Err(error), path(argument), "{argument}");
        }
    }
}
