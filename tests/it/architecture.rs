//! The borders of the modules, read from the source itself (`docs/architecture.md` has the reasons).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Which module may name which others of ours. `*` is everything. A row for a part of a module (as
/// `sip::core`) goes before the row of the whole.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("main", "app cli config telemetry"),
    ("app", "*"),
    ("cli", ""),
    ("domain", ""),
    ("clock", ""),
    ("config", "domain"),
    ("telemetry", "config domain"),
    ("secrets", "config domain"),
    ("tls", "config"),
    ("whatsapp", "clock domain"),
    ("bitrix", "clock domain"),
    ("translate", "bitrix domain whatsapp"),
    ("store", "clock domain secrets telemetry"),
    ("directory", "clock domain secrets store telemetry"),
    ("queue", "clock domain store telemetry"),
    ("media", "clock config domain store telemetry"),
    ("access", "clock domain secrets store telemetry"),
    ("gateway", "bitrix clock directory domain store telemetry"),
    ("relay", USE_CASES),
    // Setting up is where secrets come in, where addresses are told, and where the doctor looks at certificates
    // and asks trunks and our own edge (docs/adr/0007).
    (
        "setup",
        "bitrix clock config directory domain gateway media queue secrets sip store telemetry tls translate whatsapp",
    ),
    ("calls", USE_CASES),
    (
        "http",
        "access bitrix calls clock config directory domain media relay setup store telemetry tls whatsapp",
    ),
    ("sip::core", "domain"),
    ("sip", "clock config domain telemetry tls"),
    ("sandbox", "clock domain telemetry"),
];

const USE_CASES: &str =
    "bitrix clock directory domain gateway media queue store telemetry translate whatsapp";

/// Words that only some modules may use, and why.
const RESERVED: &[(&[&str], &str, &str)] = &[
    (&["std::env", "env::var"], "config", "only config reads the environment"),
    (
        &["Utc::now", "Local::now", "SystemTime", "std::time::Instant", "Uuid::now_v7"],
        "clock",
        "only clock asks the time (timers may use tokio::time::Instant)",
    ),
    (&["diesel::", "diesel_migrations::"], "store", "only store writes queries"),
    (
        &["actix_web::", "actix_http::"],
        "app http sandbox",
        "only http and the simulators are servers of HTTP",
    ),
    (
        &["tokio::spawn(", "task::spawn(", "rt::spawn("],
        "app queue sandbox sip",
        "tasks have an owner that joins them",
    ),
    (&["thread::spawn(", "thread::Builder"], "app store", "threads have an owner that joins them"),
    (&["anyhow::"], "app main", "errors that callers match on are enums"),
    (&["rsip::"], "sip::core::message", "what rsip gets wrong stays in one file"),
    (&["install_default("], "", "rustls is given its provider, there is none of the process"),
];

/// Modules that are functions of their input, and what they therefore cannot hold.
const PURE: &[&str] = &["domain", "translate", "sip::core"];
const IMPURE_WORDS: &[&str] = &[
    ".await",
    "async fn",
    "tokio::",
    "reqwest::",
    "rustls::",
    "std::fs",
    "std::io",
    "std::thread",
    "getrandom",
];

#[test]
fn modules_name_only_what_their_row_allows() {
    let mut faults = Faults::default();
    for source in sources() {
        let Some((row, allowed)) = MAY_IMPORT.iter().find(|(row, _)| source.is_in(row)) else {
            faults.add(&source, 0, "this module has no row in MAY_IMPORT");
            continue;
        };
        for (at, import) in source.imports() {
            let own = row.split("::").next() == Some(import.as_str());
            let granted = *allowed == "*" || allowed.split(' ').any(|module| module == import);
            if !own && !granted {
                faults.add(&source, at, &format!("{row} must not import {import}"));
            }
        }
        for at in source.climbs_out() {
            faults.add(&source, at, "a path out of the module begins with crate::");
        }
    }
    faults.assert_none();
}

#[test]
fn the_sans_io_core_of_sip_names_nothing_else_of_sip() {
    let mut faults = Faults::default();
    for source in sources().iter().filter(|source| source.is_in("sip::core")) {
        for word in ["crate::sip::transport", "crate::sip::driver"] {
            for at in source.find(word) {
                faults.add(source, at, "sip::core must not know who drives it");
            }
        }
    }
    faults.assert_none();
}

#[test]
fn reserved_words_stay_in_their_rooms() {
    let mut faults = Faults::default();
    for source in sources() {
        for (words, rooms, why) in RESERVED {
            if rooms.split(' ').any(|room| source.is_in(room)) {
                continue;
            }
            for word in *words {
                for at in source.find(word) {
                    faults.add(&source, at, &format!("`{word}`: {why}"));
                }
            }
        }
        for at in source.find("std::time::{") {
            if source.group_at(at + "std::time::".len()).iter().any(|name| name == "Instant") {
                faults.add(&source, at, "only clock asks the time");
            }
        }
    }
    faults.assert_none();
}

#[test]
fn pure_modules_do_no_io() {
    let mut faults = Faults::default();
    for source in sources().iter().filter(|source| PURE.iter().any(|module| source.is_in(module))) {
        for word in IMPURE_WORDS {
            for at in source.find(word) {
                faults.add(source, at, &format!("`{word}` in a module of pure functions"));
            }
        }
    }
    faults.assert_none();
}

#[test]
fn there_is_no_mutable_state_of_the_process() {
    let mut faults = Faults::default();
    for source in sources() {
        for at in source.find("static ").into_iter().chain(source.find("thread_local!")) {
            let line = source.line(at);
            let begins = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let is_item = begins.starts_with("static ") || begins.starts_with("thread_local!");
            let words = ["static mut", "thread_local!", "Mutex", "RwLock", "Atomic", "OnceLock", "OnceCell"];
            if is_item && words.iter().any(|word| line.contains(word)) {
                faults.add(&source, at, "mutable state belongs to an app, not to the process");
            }
        }
    }
    faults.assert_none();
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("build.rs")];
    for directory in ["src", "tests", "benches"] {
        collect(&root.join(directory), &mut files);
    }
    let silent: Vec<_> =
        files.iter().filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!")).collect();
    assert!(silent.is_empty(), "these files do not begin with //! {silent:#?}");
}

#[test]
fn main_is_short() {
    let main = sources().into_iter().find(|source| source.is_in("main")).unwrap();
    assert!(main.code.lines().count() <= 60, "src/main.rs has more than 60 lines");
}

/// A source file without comments and without its tests.
struct Source {
    path: PathBuf,
    /// `["relay", "inbound"]` for `src/relay/inbound.rs`.
    module: Vec<String>,
    code: String,
}

#[derive(Default)]
struct Faults(BTreeSet<String>);

impl Faults {
    fn add(&mut self, source: &Source, at: usize, fault: &str) {
        let line = source.code[..at].matches('\n').count() + 1;
        self.0.insert(format!("{}:{line}: {fault}", source.path.display()));
    }

    fn assert_none(&self) {
        let list = self.0.iter().fold(String::new(), |mut list, fault| {
            let _ = writeln!(list, "  {fault}");
            list
        });
        assert!(self.0.is_empty(), "\n{list}");
    }
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let path = path.strip_prefix(root).unwrap().to_owned();
        let module: Vec<String> =
            path.with_extension("").iter().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
        let text = std::fs::read_to_string(root.join(&path)).unwrap();
        Self { path, module, code: without_comments_and_tests(&text) }
    }

    fn is_in(&self, module: &str) -> bool {
        let parts: Vec<&str> = module.split("::").collect();
        self.module.len() >= parts.len() && parts.iter().zip(&self.module).all(|(part, own)| part == own)
    }

    /// The top-level modules of ours that are named, with their places.
    fn imports(&self) -> Vec<(usize, String)> {
        // The binary sees the library as a crate.
        let root = if self.is_in("main") { "wabridge::" } else { "crate::" };
        let mut imports = Vec::new();
        for at in self.find(root) {
            let names = self.group_at(at + root.len());
            imports.extend(names.into_iter().map(|name| (at, name)));
        }
        imports
    }

    /// Places where `super::` leads out of the top-level module.
    fn climbs_out(&self) -> Vec<usize> {
        if self.module == ["lib"] { Vec::new() } else { self.find(&"super::".repeat(self.module.len())) }
    }

    /// `a` of `a::b`, or `a` and `c` of `{a::b, c}`.
    fn group_at(&self, at: usize) -> Vec<String> {
        let Some(inner) = self.code[at..].strip_prefix('{') else {
            return vec![first_name(&self.code[at..])];
        };
        let (mut depth, mut start, mut names) = (0, 0, Vec::new());
        for (place, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                ',' if depth == 0 => {
                    names.push(first_name(&inner[start..place]));
                    start = place + 1;
                }
                '}' if depth == 0 => {
                    names.push(first_name(&inner[start..place]));
                    break;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        names.retain(|name| !name.is_empty());
        names
    }

    /// Where a word begins, not counting ends of longer words.
    fn find(&self, word: &str) -> Vec<usize> {
        let is_inside = |at: usize| {
            word.starts_with(|c: char| c.is_alphanumeric())
                && self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
        };
        self.code.match_indices(word).map(|(at, _)| at).filter(|at| !is_inside(*at)).collect()
    }

    fn line(&self, at: usize) -> &str {
        let start = self.code[..at].rfind('\n').map_or(0, |end| end + 1);
        self.code[start..].lines().next().unwrap_or_default()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    let no_tests = |path: &&PathBuf| {
        !path.ends_with("tests.rs") && !path.components().any(|part| part.as_os_str() == "tests")
    };
    let skip = root.join("src/lib.rs");
    files.iter().filter(no_tests).filter(|path| **path != skip).map(|path| Source::read(root, path)).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Keeps the number of lines, so that faults are told with theirs.
fn without_comments_and_tests(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let inline_tests = lines.peek().is_some_and(|next| next.starts_with("mod tests {"));
        if line == "#[cfg(test)]" && inline_tests {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap_or_default());
        }
        code.push('\n');
    }
    code
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn the_reader_of_sources_finds_imports() {
    let source = |module: &str, text: &str| Source {
        path: PathBuf::from("src/x.rs"),
        module: module.split("::").map(str::to_owned).collect(),
        code: without_comments_and_tests(text),
    };
    let text = "//! [`crate::a`]\nuse crate::{\n    b::{c, d},\n    e,\n};\nfn f() { crate::g::h() } // crate::i\n\
                #[cfg(test)]\nmod tests {\n    use crate::j;\n}\n";
    let found = source("x", text);
    let names: Vec<String> = found.imports().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["b", "e", "g"]);
    assert_eq!(source("x", "use super::y;").climbs_out().len(), 1);
    assert_eq!(source("x::y", "use super::z;").climbs_out().len(), 0);
    assert_eq!(source("x::y", "use super::super::z;").climbs_out().len(), 1);
    assert_eq!(source("x", "use std::time::{Duration, Instant};").group_at(15), ["Duration", "Instant"]);
    assert_eq!(source("x", "my_diesel::a diesel::b").find("diesel::").len(), 1);
    assert!(source("sip::core::uri", "").is_in("sip::core") && !source("sip", "").is_in("sip::core"));
}
