//! The rooms of the source (folders, and files beside `main.rs`) import each other one way only, so
//! that each can be read without those above it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// More files than this may not import each other in a circle inside of a room.
const LARGEST_CIRCLE: usize = 3;

#[test]
fn no_rooms_import_each_other_in_a_circle() {
    let files = imports().unwrap();
    let mut rooms = Graph::new();
    for (file, imported) in &files {
        let others = imported.iter().map(|other| room(other)).filter(|other| *other != room(file));
        rooms.entry(room(file).to_owned()).or_default().extend(others.map(str::to_owned));
    }
    assert!(rooms.len() > 10, "{rooms:?}");
    assert_eq!(circles(&rooms, 1), Vec::<BTreeSet<String>>::new());
}

#[test]
fn no_room_has_a_large_circle_of_files() {
    let mut within = imports().unwrap();
    for (file, imported) in &mut within {
        imported.retain(|other| room(other) == room(file));
    }
    assert_eq!(circles(&within, LARGEST_CIRCLE), Vec::<BTreeSet<String>>::new());
}

#[test]
fn a_circle_is_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(circles(&graph(&[("a", "b"), ("b", "c"), ("a", "c")]), 1), []);
    let circle = BTreeSet::from(["a", "b", "c"].map(str::to_owned));
    assert_eq!(circles(&graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]), 1), [circle]);
    let used = paths("use crate::{a, b::{self, C}};\nuse super::d::E;\n    use x::y;");
    assert_eq!(used, ["crate::a", "crate::b::self", "crate::b::C", "super::d::E", "x::y"]);
}

/// The sets of nodes that reach each other, where they are more than `most`.
fn circles(graph: &Graph, most: usize) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|node| (node, reachable(graph, node))).collect();
    let mut circles = BTreeSet::new();
    for (node, others) in &reached {
        let back = |other: &&&String| reached.get(**other).is_some_and(|from| from.contains(*node));
        let circle: BTreeSet<String> = others.iter().filter(back).map(|other| (**other).clone()).collect();
        if circle.len() > most {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable<'g>(graph: &'g Graph, node: &'g String) -> BTreeSet<&'g String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        open.extend(graph.get(node).into_iter().flatten().filter(|next| reached.insert(*next)));
    }
    reached
}

/// What each file of the source imports from others of it, tests aside. A file is called by its
/// module's path.
fn imports() -> io::Result<Graph> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    read(&source, &mut Vec::new(), &mut files)?;
    let known: BTreeSet<&String> = files.keys().collect();
    let used = |(file, text): (&String, &String)| {
        let modules = paths(text).into_iter().filter_map(|path| module(file, &path, &known));
        (file.clone(), modules.filter(|other| other != file).collect())
    };
    Ok(files.iter().map(used).collect())
}

fn read(folder: &Path, modules: &mut Vec<String>, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            modules.push(name);
            read(&path, modules, files)?;
            modules.pop();
        } else if !name.ends_with("tests") && name != "main" && name != "fixture" {
            let own = Some(name).filter(|name| name != "mod");
            let module = modules.iter().chain(&own).cloned().collect::<Vec<_>>().join("::");
            let text = fs::read_to_string(&path)?;
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            files.insert(module, text.to_owned());
        }
    }
    Ok(())
}

/// Every path that is imported. What a module only passes on (`pub use`) is none of its own needs.
fn paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let line = rest[..at].rsplit('\n').next().unwrap_or_default();
        let (begun, after) = (line.trim().is_empty(), &rest[at + "use ".len()..]);
        let Some(end) = after.find(';') else { break };
        if begun {
            expand("", &after[..end], &mut paths);
            rest = &after[end..];
        } else {
            rest = after;
        }
    }
    paths
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, inner)) = tree.split_once('{') else {
        if !tree.is_empty() {
            paths.push(format!("{prefix}{tree}"));
        }
        return;
    };
    let prefix = format!("{prefix}{head}");
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let (mut depth, mut begin) = (0, 0);
    for (at, found) in inner.char_indices() {
        match found {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[begin..at], paths);
                begin = at + 1;
            }
            _ => {}
        }
    }
    expand(&prefix, &inner[begin..], paths);
}

/// The file that a path leads to.
fn module(file: &str, path: &str, known: &BTreeSet<&String>) -> Option<String> {
    let mut segments: Vec<&str> = path.split("::").collect();
    let mut full: Vec<&str> = match *segments.first()? {
        "crate" => Vec::new(),
        "super" => {
            let mut own: Vec<&str> = file.split("::").collect();
            own.pop();
            own
        }
        _ => file.split("::").collect(),
    };
    if matches!(segments.first(), Some(&"crate" | &"super")) {
        segments.remove(0);
    }
    full.extend(segments);
    while !full.is_empty() {
        let name = full.join("::");
        if known.contains(&name) {
            // A path to nothing of this file's own is one of another crate.
            return Some(name);
        }
        full.pop();
    }
    None
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}
