//! No two files of a crate import each other, directly or by way of others: each can be read after those it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::architecture::{all_sources, is_word, module_of, without_tests};

type Module = Vec<String>;

/// The paths that begin with `prefix` and go on as `rest`, which may be a list in braces.
fn expand(prefix: &[String], rest: &str, found: &mut Vec<Module>) {
    if let Some(list) = rest.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    expand(prefix, list[start..at].trim_start(), found);
                    start = at + 1;
                }
                _ => {}
            }
            if c == '}' && depth == 0 && start == at + 1 {
                break;
            }
        }
        return;
    }
    let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
    if name.is_empty() {
        return;
    }
    let path = [prefix, std::slice::from_ref(&name)].concat();
    match rest[name.len()..].strip_prefix("::") {
        Some(further) => expand(&path, further, found),
        None => found.push(path),
    }
}

/// The paths within this crate that a file of `module` names.
fn named(module: &[String], text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::").filter(|(at, _)| !text[..*at].ends_with(is_word)) {
        expand(&[], &text[at + "crate::".len()..], &mut found);
    }
    let begins = |at: usize| !text[..at].ends_with(is_word) && !text[..at].ends_with("super::");
    for (at, _) in text.match_indices("self::").filter(|(at, _)| begins(*at)) {
        expand(module, &text[at + "self::".len()..], &mut found);
    }
    for (at, _) in text.match_indices("super::").filter(|(at, _)| begins(*at)) {
        let (mut rest, mut above) = (&text[at..], module);
        while let Some(next) = rest.strip_prefix("super::") {
            above = above.split_last().map_or(above, |(_, above)| above);
            rest = next;
        }
        expand(above, rest, &mut found);
    }
    found
}

/// Modules from which a way along `edges` leads back to themselves.
fn in_circles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let reach = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            open.extend(edges.get(module).into_iter().flatten().filter(|next| seen.insert((*next).clone())));
        }
        seen
    };
    edges.keys().filter(|module| reach(module).contains(*module)).map(|module| module.join("::")).collect()
}

#[test]
fn a_circle_is_seen_however_it_is_closed() {
    let path = |text: &str| text.split("::").map(ToOwned::to_owned).collect::<Module>();
    let text = "use super::{b::{C, d}, e::F};\nuse crate::{x::Y, z};\nfn f() { super::super::g::h() }";
    let named: Vec<String> = named(&path("p::q::a"), text).into_iter().map(|path| path.join("::")).collect();
    assert_eq!(named, ["x::Y", "z", "p::q::b::C", "p::q::b::d", "p::q::e::F", "p::g::h"]);
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")];
    let mut by_module = BTreeMap::<Module, BTreeSet<Module>>::new();
    for (from, to) in edges {
        by_module.entry(path(from)).or_default().insert(path(to));
    }
    assert_eq!(in_circles(&by_module), ["a", "b", "c"]);
}

/// Which files of a crate name which others of it.
fn imports(sources: &[(Module, String)]) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<Module> = sources.iter().map(|(module, _)| module.clone()).collect();
    let mut edges = BTreeMap::<Module, BTreeSet<Module>>::new();
    for (module, text) in sources {
        if module.iter().any(|part| part == "tests") {
            continue;
        }
        let code = without_tests(text).lines().filter(|line| !line.trim_start().starts_with("//"));
        for path in named(module, &code.collect::<Vec<_>>().join("\n")) {
            let file =
                (0..=path.len()).rev().map(|end| path[..end].to_vec()).find(|part| modules.contains(part));
            edges.entry(module.clone()).or_default().extend(file.filter(|file| file != module));
        }
    }
    edges
}

/// The edges between the rooms of a crate, the modules right below its root: what their files name of each other.
fn between_rooms(edges: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut rooms = BTreeMap::<Module, BTreeSet<Module>>::new();
    for (from, named) in edges.iter().filter(|(from, _)| !from.is_empty()) {
        let others = named.iter().filter(|to| to[0] != from[0]).map(|to| to[..1].to_vec());
        rooms.entry(from[..1].to_vec()).or_default().extend(others);
    }
    rooms
}

#[test]
fn no_file_is_in_a_circle_of_imports() {
    let mut crates = BTreeMap::<PathBuf, Vec<(Module, String)>>::new();
    for (path, text) in all_sources() {
        let of_crate = path.iter().take_while(|part| *part != "src").collect();
        crates.entry(of_crate).or_default().push((module_of(&path), text));
    }
    assert!(crates.len() > 1, "the service and the crates beside it were found");
    let mut files = 0;
    for (of_crate, sources) in crates {
        let edges = imports(&sources);
        files += edges.len();
        assert_eq!(in_circles(&edges), [] as [String; 0], "files of {}", of_crate.display());
        let rooms = between_rooms(&edges);
        assert_eq!(in_circles(&rooms), [] as [String; 0], "rooms of {}", of_crate.display());
    }
    assert!(files > 100, "the imports of {files} files were seen");
}
