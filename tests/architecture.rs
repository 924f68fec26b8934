//! Holds the code to its layers and its lengths.

use std::fs;
use std::path::{Path, PathBuf};

/// Which parts of the crate each part may name.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("domain", &["domain"]),
    ("ports", &["ports", "domain"]),
    ("commands", &["commands", "domain", "ports", "log_gate"]),
    ("queries", &["queries", "domain", "ports", "log_gate"]),
    ("infra", &["infra", "domain", "ports", "log_gate"]),
    ("http", &["http", "domain", "ports", "commands", "queries", "log_gate"]),
    ("demo", &["demo"]),
];

/// Lines of code of a file, tests and blank lines aside.
const LONGEST_FILE: usize = 320;

fn sources(folder: &Path) -> Vec<PathBuf> {
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
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\n").next().unwrap_or(text)
}

/// Parts named as `crate::part`, also within braces.
fn parts_named(text: &str) -> Vec<String> {
    let after = |start: usize| &text[start + "crate::".len()..];
    let paths = text.match_indices("crate::").map(|(at, _)| after(at));
    let word =
        |path: &str| path.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    paths
        .flat_map(|path| match path.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').map(|p| word(p.trim())).collect(),
            None => vec![word(path)],
        })
        .filter(|part| !part.is_empty())
        .collect()
}

#[test]
fn every_part_names_only_the_parts_it_may() {
    let sources = all_sources();
    for (part, allowed) in MAY_USE {
        let folder = Path::new("src").join(part);
        let of_part: Vec<_> = sources.iter().filter(|(path, _)| path.starts_with(&folder)).collect();
        assert!(!of_part.is_empty(), "{part} has no source");
        for (path, text) in of_part {
            let strangers: Vec<_> =
                parts_named(text).into_iter().filter(|named| !allowed.contains(&named.as_str())).collect();
            assert!(strangers.is_empty(), "{} must not use {strangers:?}", path.display());
        }
    }
}

#[test]
fn only_the_application_names_adapters() {
    for (path, text) in all_sources() {
        let may = ["src/app", "src/app.rs", "src/cli", "src/infra"].iter().any(|p| path.starts_with(p));
        assert!(
            may || !parts_named(&text).contains(&"infra".to_owned()),
            "{} names adapters",
            path.display()
        );
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in all_sources() {
        let shown = path.display();
        assert!(text.starts_with("//!"), "{shown} does not say what it is for");
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
