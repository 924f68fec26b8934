//! Holds `docs/operations.md` and `docs/configuration.md` to the program: each metric, log line and key has its row there,
//! and each row is true. Holds `docs/reliability.md` to the tests that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use otc_im::config::Config;

use crate::architecture::{all_sources, is_word, sources};
use crate::support::service::Site;
use crate::support::stores::Stores;

/// The lines of operations.md between this heading and the next one of its kind.
fn section(heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).expect("there is such a heading");
    rest.split("\n## ").next().unwrap().to_owned()
}

/// What stands in backticks in the first cell of each row.
fn first_cells(section: &str) -> Vec<Vec<String>> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" |").next().unwrap());
    cells.map(|cell| cell.trim_end_matches('`').split("`, `").map(str::to_owned).collect()).collect()
}

fn assert_same<T: Ord + std::fmt::Debug>(documented: &BTreeSet<T>, real: &BTreeSet<T>) {
    let undocumented: Vec<_> = real.difference(documented).collect();
    let unreal: Vec<_> = documented.difference(real).collect();
    assert!(
        undocumented.is_empty() && unreal.is_empty(),
        "without a row in docs/operations.md: {undocumented:#?}; rows of what is not there: {unreal:#?}"
    );
}

#[tokio::test]
async fn every_metric_has_its_row_and_every_row_its_metric() {
    let site = Site::new(Stores::servers().await).await;
    let service = site.start().await;
    let text = service.client.get("/metrics").await.text;
    let exported: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect();
    assert!(exported.len() > 15, "{text}");
    let documented = first_cells(&section("Metrics")).into_iter().flatten();
    let documented: BTreeSet<String> = documented.filter(|name| name.starts_with("otc_im_")).collect();
    assert_same(&documented, &exported);
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    message: String,
    level: String,
    /// Whether it comes once a second at most, with a count.
    counted: bool,
}

/// The end of the string literal that begins behind the quote at `from`.
fn end_of_text(code: &str, from: usize) -> usize {
    let bytes = code.as_bytes();
    let mut at = from + 1;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// The message of a macro's arguments, and where it begins: the literal that is nobody's value and no argument of
/// something within.
fn message(arguments: &str) -> Option<(String, usize)> {
    let (mut at, mut depth, mut before) = (0, 0, ' ');
    while let Some(byte) = arguments.as_bytes().get(at) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => return None,
            b')' | b']' | b'}' => depth -= 1,
            b'"' => {
                let end = end_of_text(arguments, at);
                if depth == 0 && before != '=' {
                    let joined = arguments[at + 1..end].split("\\\n").map(str::trim_start);
                    return Some((joined.collect(), at));
                }
                at = end;
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = char::from(*byte);
        }
        at += 1;
    }
    None
}

/// What the program logs at a level that the default filter shows; what the simulator says is not the service's.
fn logged() -> BTreeSet<Line> {
    let mut lines = BTreeSet::new();
    for (path, text) in all_sources() {
        if !path.starts_with("src") {
            continue;
        }
        let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join("\n");
        for level in ["info", "warn", "error"] {
            for (at, call) in code.match_indices(&format!("tracing::{level}!(")) {
                let arguments = &code[at + call.len()..];
                let (message, begins) = message(arguments)
                    .unwrap_or_else(|| panic!("{}: a line without a message", path.display()));
                let counted = arguments[..begins].trim_start().starts_with("count,");
                lines.insert(Line { message, level: level.to_owned(), counted });
            }
        }
    }
    assert!(lines.len() > 20, "the log lines were not found");
    lines
}

#[test]
fn every_log_line_has_its_row_and_every_row_its_line() {
    let table = section("Log");
    let mut documented = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split(" | ").collect();
        let (level, counted) = (cells[1].to_owned(), cells[2].starts_with("`count`"));
        for message in first_cells(row).into_iter().flatten() {
            documented.insert(Line { message, level: level.clone(), counted });
        }
    }
    assert_same(&documented, &logged());
}

#[test]
fn every_test_that_is_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    // The names of tests are sentences; no key and no metric is one.
    let named = text.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 3);
    let named: BTreeSet<&str> = named.filter(|name| name.chars().all(is_word)).collect();
    assert!(named.len() > 100, "{named:?}");
    let tests = ["tests", "src", "crates"].into_iter().flat_map(|folder| sources(&root.join(folder)));
    let tests: String = tests.map(|path| fs::read_to_string(path).unwrap()).collect();
    let gone: Vec<_> = named.iter().filter(|name| !tests.contains(&format!("fn {name}("))).collect();
    assert!(gone.is_empty(), "docs/reliability.md names what is not there: {gone:#?}");
}

#[test]
fn every_key_has_its_row_and_every_row_its_key() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let (mut section, mut rows) = (String::new(), Vec::new());
    for line in document.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.split(['[', ']']).nth(1).unwrap_or_default().to_owned();
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let [_, key, _, _, bounds, _] = cells[..]
            && let Some(key) = key.strip_prefix('`').and_then(|key| key.strip_suffix('`'))
            && !section.is_empty()
        {
            rows.push((section.clone(), key.to_owned(), bounds.to_owned()));
        }
    }
    for (section, key, words) in Config::keys() {
        let row = rows.iter().find(|row| (&*row.0, &*row.1) == (section, key));
        let (_, _, bounds) = row.unwrap_or_else(|| panic!("{section}.{key} has no row"));
        assert!(bounds.starts_with(&words), "{section}.{key} is {words}, its row says {bounds}");
    }
    assert_eq!(rows.len(), Config::keys().len(), "a row that is no key's, or a key with two rows");
}
