//! WhatsApp markup to BBCode.

use super::{is_word, neutralise};

/// What a customer wrote, as BBCode that shows it as WhatsApp does.
///
/// Foreign BBCode is neutralised first. Then `*bold*`, `_italic_`, `~strike~`, `` `code` `` and
/// ```` ```code``` ```` become tags: at word borders only, not across lines (but ```` ``` ```` may, as in
/// WhatsApp), nested as in `*_x_*`; not inside web addresses, e-mail addresses, `snake_case` and `2*3*4`.
/// Quote lines (`> `), bullets and numbers stay as typed.
pub fn to_bbcode(text: &str) -> String {
    let text = neutralise(text);
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.as_str();
    while let Some((before, code, after)) = code_block(rest) {
        mark_lines(before, &mut out);
        push_code(code, &mut out);
        rest = after;
    }
    mark_lines(rest, &mut out);
    out
}

/// The first ```` ```…``` ```` that holds something: what is before, inside and after.
fn code_block(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("```")?;
    let (code, after) = rest.split_once("```")?;
    (!code.trim().is_empty()).then_some((before, code, after))
}

fn push_code(code: &str, out: &mut String) {
    out.push_str("[code]");
    out.push_str(code);
    out.push_str("[/code]");
}

fn mark_lines(text: &str, out: &mut String) {
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let chars = protect(line);
        mark(&chars, &[Marker('`', "code"), Marker('*', "b"), Marker('_', "i"), Marker('~', "s")], out);
    }
}

/// A character of WhatsApp's markup and the tag it stands for.
#[derive(Clone, Copy)]
struct Marker(char, &'static str);

/// A character of a line; protected ones are no markers.
#[derive(Clone, Copy)]
struct Cell {
    c: char,
    protected: bool,
}

/// Writes `cells` with the given markers turned into tags; a marker is not looked for inside itself.
fn mark(cells: &[Cell], markers: &[Marker], out: &mut String) {
    // A closing place does not depend on where the opening one is, so a search that failed once would
    // fail again further right: each marker that has none is given up.
    let mut open: Vec<Marker> = markers.to_vec();
    let mut at = 0;
    while let Some(cell) = cells.get(at) {
        let marker = open.iter().position(|marker| marker.0 == cell.c).filter(|_| opens(cells, at));
        let Some((found, Marker(c, tag))) = marker.and_then(|found| Some((found, *open.get(found)?))) else {
            out.push(cell.c);
            at += 1;
            continue;
        };
        let Some(close) = (at + 2..cells.len()).find(|&close| closes(cells, close, c)) else {
            open.remove(found);
            continue;
        };
        let inner = cells.get(at + 1..close).unwrap_or_default();
        out.push_str(&format!("[{tag}]"));
        if tag == "code" {
            out.extend(inner.iter().map(|cell| cell.c));
        } else {
            let others: Vec<Marker> = markers.iter().copied().filter(|other| other.0 != c).collect();
            mark(inner, &others, out);
        }
        out.push_str(&format!("[/{tag}]"));
        at = close + 1;
    }
}

/// Whether the marker at `at` stands at the beginning of a word: nothing of a word before it, no space
/// and not itself after it.
fn opens(cells: &[Cell], at: usize) -> bool {
    let Some(cell) = cells.get(at) else { return false };
    let before = at.checked_sub(1).and_then(|before| cells.get(before));
    let after = cells.get(at + 1);
    !cell.protected
        && before.is_none_or(|before| !is_word(before.c) && before.c != cell.c)
        && after.is_some_and(|after| !after.c.is_whitespace() && after.c != cell.c)
}

/// Whether the marker `c` at `at` stands at the end of a word.
fn closes(cells: &[Cell], at: usize, c: char) -> bool {
    let Some(cell) = cells.get(at).filter(|cell| cell.c == c && !cell.protected) else { return false };
    let before = at.checked_sub(1).and_then(|before| cells.get(before));
    let after = cells.get(at + 1);
    before.is_some_and(|before| !before.c.is_whitespace() && before.c != cell.c)
        && after.is_none_or(|after| !is_word(after.c) && after.c != cell.c)
}

/// A line as cells, web and e-mail addresses protected. Brackets in a web address are percent-encoded:
/// the zero-width space behind them would end the link.
fn protect(line: &str) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(line.len());
    for word in line.split_inclusive(char::is_whitespace) {
        let address = address_in(word);
        let (head, rest) = word.split_at_checked(address.start).unwrap_or((word, ""));
        let (address, tail) = rest.split_at_checked(address.end - address.start).unwrap_or((rest, ""));
        cells.extend(head.chars().map(|c| Cell { c, protected: false }));
        let encoded = address.replace("[\u{200b}", "%5B").replace(']', "%5D");
        cells.extend(encoded.chars().map(|c| Cell { c, protected: true }));
        cells.extend(tail.chars().map(|c| Cell { c, protected: false }));
    }
    cells
}

/// Where in a word (no spaces) an address is; empty if there is none.
fn address_in(word: &str) -> std::ops::Range<usize> {
    let end = word.trim_end_matches(|c: char| c.is_whitespace() || "*_~`.,;:!?)>\"'»”".contains(c)).len();
    let end = unbalanced_bracket(word).map_or(end, |bracket| bracket.min(end));
    let Some(body) = word.get(..end) else { return 0..0 };
    let begins_at = |at: usize, allowed: fn(char) -> bool| {
        let head = body.get(..at).unwrap_or_default();
        head.trim_end_matches(allowed).len()
    };
    if let Some(at) = body.find("://") {
        return begins_at(at, |c| c.is_ascii_alphanumeric() || "+.-".contains(c))..end;
    }
    if let Some(at) = body.find('@') {
        return begins_at(at, |c| c.is_alphanumeric() || "._%+-".contains(c))..end;
    }
    // `www.example.com`, `example.com/a_b_c`
    let host_end = body.find('/').unwrap_or(end);
    let start = begins_at(host_end, |c| c.is_alphanumeric() || ".-".contains(c));
    let host = body.get(start..host_end).unwrap_or_default();
    let labels = host.split('.').filter(|label| !label.is_empty()).count();
    let is_host = labels >= 2 && !host.starts_with('.') && !host.ends_with('.');
    if is_host && (host_end < end || host.starts_with("www.")) { start..end } else { 0..0 }
}

/// Where the first `]` is that no `[` of the address itself opened: the address was in brackets.
fn unbalanced_bracket(word: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let address = word.find("://").or_else(|| word.find('@')).unwrap_or(0);
    word.char_indices().skip_while(|(at, _)| *at < address).find_map(|(at, c)| match c {
        '[' => {
            depth += 1;
            None
        }
        ']' if depth == 0 => Some(at),
        ']' => {
            depth -= 1;
            None
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_become_tags() {
        for (typed, shown) in [
            ("*bold*", "[b]bold[/b]"),
            ("_italic_", "[i]italic[/i]"),
            ("~strike~", "[s]strike[/s]"),
            ("`code`", "[code]code[/code]"),
            ("```mono block```", "[code]mono block[/code]"),
            ("```two\n*lines*```", "[code]two\n*lines*[/code]"),
            ("`*not bold*`", "[code]*not bold*[/code]"),
            ("*_x_*", "[b][i]x[/i][/b]"),
            ("_*~x~*_", "[i][b][s]x[/s][/b][/i]"),
            ("*a _b_ c*", "[b]a [i]b[/i] c[/b]"),
            ("say *yes*, or (*no*)!", "say [b]yes[/b], or ([b]no[/b])!"),
            ("*a* and *b*", "[b]a[/b] and [b]b[/b]"),
            ("*два слова*", "[b]два слова[/b]"),
            ("*שלום*", "[b]שלום[/b]"),
            ("*🎉*", "[b]🎉[/b]"),
            ("_snake_case_", "[i]snake_case[/i]"),
            ("* item *bold*", "* item [b]bold[/b]"),
            ("*[b]*", "[b][\u{200b}b][/b]"),
            ("*https://example.com/a_b_c*", "[b]https://example.com/a_b_c[/b]"),
            ("*a*\n_b_", "[b]a[/b]\n[i]b[/i]"),
        ] {
            assert_eq!(to_bbcode(typed), shown, "{typed:?}");
        }
    }

    #[test]
    fn what_whatsapp_shows_as_it_is_stays_so() {
        for text in [
            "2*3*4",
            "snake_case_name",
            "a*b*",
            "*a*b",
            "* a *",
            "*a",
            "a*",
            "**",
            "***",
            "**a**",
            "_ _",
            "~ x ~",
            "*over\nlines*",
            "> quote",
            "- item",
            "1. item",
            "``",
            "``````",
            "``` ```",
            "`",
            "5 * 6 * 7",
            "https://example.com/_a_/*b*?x=~y~z",
            "john_doe_x@example.com",
            "_john@example.com",
            "www.example.com/_a_b",
            "t.me/_some_name",
            "1",
            "0 no",
            "a ~ b ~ c",
            "/_a_b",
        ] {
            assert_eq!(to_bbcode(text), text);
        }
    }

    #[test]
    fn brackets_of_the_customer_are_never_tags() {
        for (typed, shown) in [
            ("[b]x[/b]", "[\u{200b}b]x[\u{200b}/b]"),
            ("[url=https://evil.example]bank[/url]", "[\u{200b}url=https://evil.example]bank[\u{200b}/url]"),
            ("see https://example.com/a[0]=1.", "see https://example.com/a%5B0%5D=1."),
            ("[code]*x*[/code]", "[\u{200b}code][b]x[/b][\u{200b}/code]"),
            ("```[/code][b]```", "[code][\u{200b}/code][\u{200b}b][/code]"),
        ] {
            assert_eq!(to_bbcode(typed), shown, "{typed:?}");
        }
    }

    #[test]
    fn a_long_line_of_markers_is_quick() {
        let text = "*a _b ~c `d ".repeat(5_000);
        assert_eq!(to_bbcode(&text), text);
        assert!(to_bbcode(&"*a* ".repeat(20_000)).len() > 100_000);
    }
}
