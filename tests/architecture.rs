//! Holds the code to its layers and its lengths.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which parts of the crate each part may name.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("domain", &["domain"]),
    ("ports", &["ports", "domain"]),
    ("commands", &["commands", "domain", "ports", "log_gate"]),
    ("queries", &["queries", "domain", "ports", "log_gate"]),
    ("infra", &["infra", "domain", "ports", "log_gate"]),
    ("http", &["http", "domain", "ports", "commands", "queries", "config", "log_gate"]),
    ("demo", &["demo"]),
];

/// Lines of code of a file, tests and blank lines aside.
const LONGEST_FILE: usize = 320;

pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let within = folders.iter().flat_map(|folder| sources(folder));
    within.chain(files).filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
}

pub fn all_sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root).unwrap().to_owned(), text)
    };
    let folders = ["src", "crates"].map(|folder| root.join(folder));
    let sources: Vec<_> = folders.iter().flat_map(|folder| sources(folder)).map(read).collect();
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

/// The code before the tests of the same file.
pub fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\n").next().unwrap_or(text)
}

/// The modules that a file is in: of `src/http/bind.rs`, `http` and `bind`.
pub fn module_of(path: &Path) -> Vec<String> {
    let below = path.components().skip_while(|part| part.as_os_str() != "src").skip(1);
    let mut modules: Vec<String> =
        below.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let file = modules.pop().unwrap_or_default();
    match file.trim_end_matches(".rs") {
        "lib" | "main" => {}
        module => modules.push(module.to_owned()),
    }
    modules
}

/// Whether the file is of this part of the service's own crate.
fn is_in(path: &Path, part: &str) -> bool {
    path.starts_with("src") && module_of(path).first().is_some_and(|first| first == part)
}

pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The first names of a path, or of each path of a list in braces; `*` for all there is.
fn first_names(path: &str) -> Vec<String> {
    let Some(list) = path.strip_prefix('{') else {
        let name: String = path.chars().take_while(|c| is_word(*c) || *c == '*').collect();
        return vec![name];
    };
    let (mut depth, mut starts) = (0, vec![0]);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(at + 1),
            _ => {}
        }
    }
    starts.into_iter().flat_map(|at| first_names(list[at..].trim_start())).collect()
}

/// The parts of the crate that a file names, by `crate::` or by as many `super::` as lead there.
fn parts_named(path: &Path, text: &str) -> Vec<String> {
    let (own, mut within) = (module_of(path), Vec::<usize>::new());
    let mut parts = Vec::new();
    let mut at_line = 0;
    for line in text.split_inclusive('\n') {
        let (code, indent) = (line.trim(), line.len() - line.trim_start().len());
        if code == "}" && within.last() == Some(&indent) {
            within.pop();
        }
        let depth = own.len() + within.len();
        for (at, _) in line.match_indices("crate::").filter(|(at, _)| !line[..*at].ends_with(is_word)) {
            parts.extend(first_names(&text[at_line + at + "crate::".len()..]));
        }
        let begins = |at: usize| !line[..at].ends_with(is_word) && !line[..at].ends_with("super::");
        for (at, _) in line.match_indices("super::").filter(|(at, _)| begins(*at)) {
            let mut rest = &text[at_line + at..];
            let mut above = depth;
            while let Some(next) = rest.strip_prefix("super::") {
                above = above.checked_sub(1).expect("a module has another above it");
                rest = next;
            }
            // Of a module's own children nothing is known, and nothing has to be.
            match own.first() {
                Some(part) if above > 0 => parts.push(part.clone()),
                _ => parts.extend(first_names(rest)),
            }
        }
        let is_inline = (code.starts_with("mod ") || code.contains(" mod ")) && code.ends_with('{');
        if is_inline && !code.starts_with("//") {
            within.push(indent);
        }
        at_line += line.len();
    }
    parts.retain(|part| !part.is_empty() && !part.starts_with(|c: char| c.is_ascii_uppercase()));
    parts
}

#[test]
fn a_part_is_seen_however_it_is_named() {
    let text = "\
use super::super::infra::clock::System;
use super::{api::Api, problem};
use crate::{domain::{ids::Accid, unread}, config};
fn f() { super::super::app::start(); pub(super) struct supersuper; }
mod tests {
    use super::*;
    use super::super::super::cli;
    mod deeper {
        use super::super::super::super::telemetry;
    }
    use super::super::unread;
}
use super::super::{ports, demo::{page, style}};
use super::super::*;
";
    let named = parts_named(Path::new("src/http/bind.rs"), text).join(" ");
    assert_eq!(named, "infra http domain config app http cli telemetry http ports demo *");
    let named = |path: &str, text: &str| parts_named(Path::new(path), text).join(" ");
    assert_eq!(named("src/http.rs", "use super::infra;"), "infra");
    assert_eq!(named("src/commands/group/tests.rs", "use super::super::super::infra;"), "infra");
    assert_eq!(named("src/commands/group/tests.rs", "use super::super::infra;"), "commands");
}

#[test]
fn every_part_names_only_the_parts_it_may() {
    let sources = all_sources();
    for (part, allowed) in MAY_USE {
        let of_part: Vec<_> = sources.iter().filter(|(path, _)| is_in(path, part)).collect();
        assert!(!of_part.is_empty(), "{part} has no source");
        for (path, text) in of_part {
            let named = parts_named(path, text).into_iter();
            let strangers: Vec<_> = named.filter(|named| !allowed.contains(&named.as_str())).collect();
            assert!(strangers.is_empty(), "{} must not use {strangers:?}", path.display());
        }
    }
}

#[test]
fn only_the_application_names_adapters() {
    for (path, text) in all_sources() {
        let may = ["app", "cli", "infra"].iter().any(|part| is_in(&path, part));
        let named = parts_named(&path, &text);
        let all = |named: &String| named == "infra" || named == "*";
        assert!(may || !named.iter().any(all), "{} names adapters", path.display());
    }
}

/// What the code of ports may name besides this crate: what types and traits are made of.
const PORTS_MAY_NAME: [&str; 5] = ["std", "async_trait", "serde", "thiserror", "u64"];
/// What makes a type more than plain: it is shared, it remembers, it runs.
const NOT_PLAIN: [&str; 10] =
    ["Mutex", "RwLock", "Atomic", "Cell", "OnceLock", "Lazy", "thread", "process", "fs", "net"];

/// What makes this port more than traits and plain types.
fn more_than_plain(text: &str) -> BTreeSet<String> {
    let code = without_tests(text).lines().filter(|line| !line.trim_start().starts_with("//"));
    let (mut more, mut local) = (BTreeSet::new(), BTreeSet::new());
    for line in code {
        if let Some(path) = line.trim().strip_prefix("use ").and_then(|path| path.strip_suffix(';')) {
            local.extend(path.split(|c: char| !is_word(c)).skip(1).map(ToOwned::to_owned));
        }
        local.extend(line.trim().strip_prefix("pub mod ").map(|name| name.trim_end_matches(';').to_owned()));
        for (at, _) in line.match_indices("::") {
            let before = &line[..at];
            let name = &before[before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1)..];
            let is_first = !before[..before.len() - name.len()].ends_with("::");
            let ours = ["crate", "super", "self"].contains(&name) || local.contains(name);
            let is_crate = name.starts_with(|c: char| c.is_ascii_lowercase());
            if is_first && is_crate && !ours && !PORTS_MAY_NAME.contains(&name) {
                more.insert(name.to_owned());
            }
        }
        let words = line.split(|c: char| !is_word(c));
        let named = words.filter_map(|word| NOT_PLAIN.iter().find(|odd| word.starts_with(**odd)));
        more.extend(named.map(|odd| (*odd).to_owned()));
    }
    more
}

#[test]
fn ports_are_traits_and_plain_types() {
    let shared = "use std::sync::{Arc, Mutex};\nuse tokio::sync::watch;\nfn f() { watch::channel(()); sqlx::query(\"\") }";
    assert_eq!(more_than_plain(shared).into_iter().collect::<Vec<_>>(), ["Mutex", "sqlx", "tokio"]);
    for (path, text) in all_sources().into_iter().filter(|(path, _)| is_in(path, "ports")) {
        let more = more_than_plain(&text);
        assert!(more.is_empty(), "{} is more than traits and plain types: {more:?}", path.display());
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in all_sources() {
        let shown = path.display();
        assert!(text.starts_with("//!"), "{shown} does not say what it is for");
        assert!(
            !path.ends_with("mod.rs"),
            "{shown}: a module is a file of its name, and its children a folder"
        );
        assert!(
            !text.contains("#[path"),
            "{shown}: tests stand at the end of the file, or in a folder of its name"
        );
        let lines = without_tests(&text).lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= LONGEST_FILE, "{shown} has {lines} lines: part it, or say less");
    }
}

#[test]
fn migrations_are_paired_and_numbered_without_gaps() {
    let numbers = |dialect: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect);
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    // SQLite has the message log, too.
    let (mysql, sqlite) = (numbers("mysql"), numbers("sqlite"));
    assert!(mysql.iter().all(|name| sqlite.contains(name)), "{mysql:?}");
    for (at, name) in sqlite.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", at + 1)), "{name}");
    }
}
