//! PREVIEW (RFC 8970): the first words of a message, taken when it is looked into.

use pymta_mime::{Part, Structure};

/// RFC 8970 §3.1: at most so many characters.
const CHARACTERS_MAX: usize = 200;

/// How much of a text is looked at: HTML begins with long style sheets.
const TEXT_OCTETS_MAX: usize = 64 << 10;

/// From the first plain text that is no attachment, or else the first HTML; empty where there is none.
pub(crate) fn preview(structure: &Structure, content: &[u8]) -> String {
    let shown = |part: &&Part| part.disposition.as_deref() != Some("attachment");
    let first = |content_type: &str| {
        let mut parts = structure.parts.iter().filter(shown);
        parts.find(|part| part.content_type == content_type)
    };
    let plain = first("text/plain").map(|part| part.text(content, 4 * 1024));
    let text = plain.map(|text| collapsed(&text)).filter(|text| !text.is_empty());
    text.or_else(|| {
        let html = first("text/html")?.text(content, TEXT_OCTETS_MAX);
        Some(collapsed(&text_of_html(&html)))
    })
    .unwrap_or_default()
}

/// White space and control characters as single spaces.
fn collapsed(text: &str) -> String {
    let mut out = String::new();
    let mut characters = 0;
    let mut gap = false;
    for character in text.chars() {
        if character.is_whitespace()
            || character.is_control()
            || matches!(character, '\u{feff}' | '\u{200b}'..='\u{200f}')
        {
            gap = true;
            continue;
        }
        let wanted = 1 + usize::from(gap && characters > 0);
        if characters + wanted > CHARACTERS_MAX {
            break;
        }
        if wanted == 2 {
            out.push(' ');
        }
        gap = false;
        characters += wanted;
        out.push(character);
    }
    out
}

/// HTML without its elements, styles, scripts and comments. For looking at, not for showing: it need not be exact.
pub(crate) fn text_of_html(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = if rest.starts_with('&') {
            entity(rest, &mut out)
        } else {
            element(rest, &mut out)
        };
    }
    out.push_str(rest);
    out
}

fn element<'a>(rest: &'a str, out: &mut String) -> &'a str {
    if let Some(comment) = rest.strip_prefix("<!--") {
        return comment.find("-->").map_or("", |end| &comment[end + 3..]);
    }
    let name_end = rest[1..]
        .find(|c: char| !c.is_ascii_alphanumeric())
        .map_or(rest.len(), |at| at + 1);
    let name = rest[1..name_end].to_ascii_lowercase();
    let after = rest.find('>').map_or("", |end| &rest[end + 1..]);
    match name.as_str() {
        "style" | "script" | "title" | "head" => {
            let closing = format!("</{name}");
            let end = after
                .as_bytes()
                .windows(closing.len())
                .position(|w| w.eq_ignore_ascii_case(closing.as_bytes()));
            let after = end.map_or("", |end| &after[end..]);
            after.find('>').map_or("", |end| &after[end + 1..])
        }
        // Words in a line stay together; `a<b>c</b>` is one word.
        "b" | "i" | "u" | "em" | "strong" | "span" | "a" | "font" | "small" => after,
        "" if rest.starts_with("</") => {
            if ![
                "</b>",
                "</i>",
                "</u>",
                "</em>",
                "</strong>",
                "</span>",
                "</a>",
                "</font>",
                "</small>",
            ]
            .iter()
            .any(|end| rest.starts_with(end))
            {
                out.push(' ');
            }
            after
        }
        "" if !rest.starts_with("<!") => {
            out.push('<');
            &rest[1..]
        }
        _ => {
            out.push(' ');
            after
        }
    }
}

fn entity<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let end = rest.as_bytes().iter().take(12).position(|o| *o == b';');
    let meant = end.and_then(|end| character(&rest[1..end]));
    match (end, meant) {
        (Some(end), Some(character)) => {
            out.push(character);
            &rest[end + 1..]
        }
        _ => {
            out.push('&');
            &rest[1..]
        }
    }
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "rsquo" => '’',
        "euro" => '€',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pymta_mime::PartLimits;

    fn of(content: &str) -> String {
        preview(
            &Structure::scan(content.as_bytes(), PartLimits::default()),
            content.as_bytes(),
        )
    }

    #[test]
    fn the_first_words_of_plain_text() {
        assert_eq!(
            "Hello, how are you?",
            of("A: b\r\n\r\n  Hello,\r\n\r\nhow\tare you?\r\n")
        );
        assert_eq!("", of("A: b\r\n\r\n"));
        assert_eq!(
            200,
            of(&format!("A: b\r\n\r\n{}", "ü".repeat(500))).chars().count()
        );
    }

    #[test]
    fn html_without_its_marks_where_there_is_no_plain_text() {
        let html = "<html><head><title>t</title></head><style>p { x }</style><!-- no --><body><p>Gr&uuml;&szlig;e &amp;\
            <b>Te</b>xt<br>5 < 6 &#x20AC; &bogus; <a href=\"x\">link</a></body>";
        let content = format!(
            "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n \r\n--b\r\nContent-Type: text/html; \
             charset=utf-8\r\n\r\n{html}\r\n--b--\r\n"
        );
        assert_eq!("Grüße &Text 5 < 6 € &bogus; link", of(&content));
        for broken in ["<", "<style>", "<!--", "<style>a</sty", "&#99999999;", "&", "</"] {
            text_of_html(broken);
        }
    }

    #[test]
    fn unclosed_elements_cost_no_more_than_their_length() {
        text_of_html(&"<style>".repeat(10_000));
        text_of_html(&"<b".repeat(30_000));
        text_of_html(&"&".repeat(100_000));
    }
}
