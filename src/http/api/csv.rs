//! Tables as files for spreadsheets (RFC 4180), in which no cell is taken for a formula.

/// A head and lines. Text of Meta or of people may begin like a formula; an apostrophe in front keeps a
/// spreadsheet from computing it.
pub(super) fn csv(head: &[&str], lines: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = String::new();
    line(&mut out, head.iter().copied());
    for cells in lines {
        line(&mut out, cells.iter().map(String::as_str));
    }
    out
}

fn line<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(',');
        }
        let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        if formula || cell.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            if formula {
                out.push('\'');
            }
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_none_is_a_formula() {
        let cells = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let lines = [cells(&["plain", "a,b", "say \"hi\"\r\nthere"]), cells(&["=1+1", "@x", "-2"])];
        assert_eq!(
            csv(&["one", "two", "three"], lines.into_iter()),
            "one,two,three\r\nplain,\"a,b\",\"say \"\"hi\"\"\r\nthere\"\r\n\"'=1+1\",\"'@x\",\"'-2\"\r\n"
        );
    }
}
