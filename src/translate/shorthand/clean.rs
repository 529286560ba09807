//! Values as Meta takes them: no line ends, no tabs, at most four spaces in a row.

/// Spaces in a row that Meta takes.
const SPACES: usize = 4;

/// Without what Meta refuses in a value: line ends and tabs (with the white space around them) become one
/// space, and so do more than four spaces; control characters go.
pub fn clean(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value.trim();
    while let Some(c) = rest.chars().next() {
        let is_gap = |c: char| c.is_whitespace();
        if is_gap(c) {
            let end = rest.find(|c: char| !is_gap(c)).unwrap_or(rest.len());
            let (gap, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let breaks = gap.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
            match breaks || gap.chars().count() > SPACES {
                true => out.push(' '),
                false => out.push_str(gap),
            }
            rest = after;
            continue;
        }
        if !c.is_control() {
            out.push(c);
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_meta_refuses_is_cleaned() {
        for (typed, sent) in [
            ("a\nb", "a b"),
            ("a \r\n\t b", "a b"),
            ("a\u{2028}b", "a b"),
            ("a    b", "a    b"),
            ("a     b", "a b"),
            (" a ", "a"),
            ("a\u{7}b\u{0}", "ab"),
            ("\n", ""),
            ("عربي\nنص", "عربي نص"),
        ] {
            assert_eq!(clean(typed), sent, "{typed:?}");
        }
    }
}
