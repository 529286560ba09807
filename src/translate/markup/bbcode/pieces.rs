//! Text with markers that are only written where WhatsApp renders them.

use super::super::is_word;

/// A part of the text being built.
#[derive(Clone, PartialEq, Debug)]
pub enum Piece {
    /// Plain text.
    Text(String),
    /// Opens a marked stretch.
    Open(char),
    /// Closes the last one opened with the same character.
    Close(char),
    /// Quote lines, which stand on lines of their own.
    Quote(String),
}

/// Puts `inner` between markers, line by line (WhatsApp's markers end with the line), spaces at the ends
/// of a line outside of them (`* x *` is not rendered).
pub fn marked(inner: Vec<Piece>, marker: char) -> Vec<Piece> {
    let mut out = Vec::with_capacity(inner.len() + 2);
    for line in lines(inner) {
        if line.iter().any(|piece| matches!(piece, Piece::Quote(_))) {
            out.extend(line);
            continue;
        }
        let is_blank = |piece: &Piece| matches!(piece, Piece::Text(text) if text.trim().is_empty());
        let Some(first) = line.iter().position(|piece| !is_blank(piece)) else {
            out.extend(line);
            continue;
        };
        let last = line.iter().rposition(|piece| !is_blank(piece)).unwrap_or(first);
        for (at, piece) in line.into_iter().enumerate() {
            let (mut before, mut after) = (String::new(), String::new());
            let piece = match piece {
                Piece::Text(text) if at == first || at == last => {
                    let body = if at == first { text.trim_start() } else { &text };
                    before.push_str(text.get(..text.len() - body.len()).unwrap_or_default());
                    let kept = if at == last { body.trim_end() } else { body };
                    after.push_str(body.get(kept.len()..).unwrap_or_default());
                    Piece::Text(kept.to_owned())
                }
                other => other,
            };
            out.extend((!before.is_empty()).then_some(Piece::Text(before)));
            out.extend((at == first).then_some(Piece::Open(marker)));
            out.push(piece);
            out.extend((at == last).then_some(Piece::Close(marker)));
            out.extend((!after.is_empty()).then_some(Piece::Text(after)));
        }
    }
    out
}

/// `inner` as quote lines: `> ` before each.
pub fn quoted(inner: Vec<Piece>) -> Vec<Piece> {
    let lines: Vec<String> = render(inner).trim().lines().map(|line| format!("> {line}")).collect();
    if lines.is_empty() { Vec::new() } else { vec![Piece::Quote(lines.join("\n"))] }
}

/// Writes the text: a marker only at word borders, a quote on its own lines.
pub fn render(pieces: Vec<Piece>) -> String {
    let kept = rendered_markers(&pieces);
    let mut out = String::new();
    let mut after_quote = false;
    for (piece, kept) in pieces.iter().zip(kept) {
        let mut marker = [0; 4];
        let text = match piece {
            Piece::Text(text) | Piece::Quote(text) => text.as_str(),
            Piece::Open(c) | Piece::Close(c) if kept => c.encode_utf8(&mut marker),
            Piece::Open(_) | Piece::Close(_) => continue,
        };
        let is_quote = matches!(piece, Piece::Quote(_));
        if text.is_empty() {
            continue;
        }
        if after_quote || (is_quote && !out.is_empty() && !out.ends_with('\n')) {
            out.push('\n');
        }
        out.push_str(text.strip_prefix('\n').filter(|_| after_quote).unwrap_or(text));
        after_quote = is_quote;
    }
    out
}

/// For each piece whether it is written: both markers of a pair or none.
fn rendered_markers(pieces: &[Piece]) -> Vec<bool> {
    let mut kept = vec![true; pieces.len()];
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut last = None;
    let mut allowed = vec![true; pieces.len()];
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(text) => last = text.chars().next_back().or(last),
            Piece::Quote(_) => last = Some('\n'),
            Piece::Open(_) | Piece::Close(_) => set(&mut allowed, at, last.is_none_or(|c| !is_word(c))),
        }
    }
    let mut next = None;
    let mut allowed_after = vec![true; pieces.len()];
    for (at, piece) in pieces.iter().enumerate().rev() {
        match piece {
            Piece::Text(text) => next = text.chars().next().or(next),
            Piece::Quote(_) => next = Some('\n'),
            Piece::Open(_) | Piece::Close(_) => set(&mut allowed_after, at, next.is_none_or(|c| !is_word(c))),
        }
    }
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(_) | Piece::Quote(_) => {}
            Piece::Open(marker) => open.push((*marker, at)),
            Piece::Close(marker) => {
                let Some((_, start)) = open.pop().filter(|(opened, _)| opened == marker) else { continue };
                let is_nested = open.iter().any(|(outer, _)| outer == marker);
                let fits =
                    !is_nested && allowed.get(start) == Some(&true) && allowed_after.get(at) == Some(&true);
                set(&mut kept, start, fits);
                set(&mut kept, at, fits);
            }
        }
    }
    kept
}

fn set(flags: &mut [bool], at: usize, value: bool) {
    if let Some(flag) = flags.get_mut(at) {
        *flag = value;
    }
}

/// Splits pieces after each line end; the line end is a piece of its own line's tail.
fn lines(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let mut lines = vec![Vec::new()];
    for piece in pieces {
        if let Piece::Quote(_) = piece {
            lines.push(vec![piece]);
            lines.push(Vec::new());
            continue;
        }
        let Piece::Text(text) = piece else {
            if let Some(line) = lines.last_mut() {
                line.push(piece);
            }
            continue;
        };
        for part in text.split_inclusive('\n') {
            if let Some(line) = lines.last_mut() {
                line.push(Piece::Text(part.to_owned()));
            }
            if part.ends_with('\n') {
                lines.push(Vec::new());
            }
        }
    }
    lines
}
