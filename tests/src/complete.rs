//! Whether Python and Node have every operation that Rust has, and whether a scenario calls it.
//!
//! A binding is looked at as soon as its folder is in the tree; from then on a file that lacks fails.

use crate::scenarios;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use syn::{ImplItem, Item, Type, Visibility};

/// The handles and where they are.
const HANDLES: [(&str, &str); 13] = [
    ("Kurultai", "kurultai.rs"),
    ("Kurultai", "verify.rs"),
    ("Kurultai", "cycle/run.rs"),
    ("Tasks", "tasks/handle.rs"),
    ("Tasks", "tasks/stop.rs"),
    ("Agents", "agents/handle.rs"),
    ("Schedules", "schedules/handle.rs"),
    ("Events", "events/handle.rs"),
    ("Events", "events/subscriptions/handle.rs"),
    ("Messages", "messages/handle.rs"),
    ("Messages", "messages/accept.rs"),
    ("Keys", "messages/key_handle.rs"),
    ("Keys", "messages/import.rs"),
];

/// What another language says otherwise: `open` takes the options there, and the environment's store without a URL, and
/// a call is ended by its language's own means.
const ONLY_IN_RUST: [(&str, &str); 3] =
    [("Kurultai", "open_with"), ("Kurultai", "from_env"), ("Kurultai", "verify_until")];

/// What has no end of its own, and so no place in a scenario.
const ENDLESS: [&str; 1] = ["agents.watch"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The public async functions of each handle.
fn operations() -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for (handle, file) in HANDLES {
        let text = fs::read_to_string(root().join("kurultai-core/src").join(file)).unwrap();
        let before = found.len();
        for item in syn::parse_file(&text).unwrap().items {
            let Item::Impl(block) = item else { continue };
            let Type::Path(of) = &*block.self_ty else { continue };
            if block.trait_.is_some() || !of.path.is_ident(handle) {
                continue;
            }
            found.extend(block.items.into_iter().filter_map(|item| match item {
                ImplItem::Fn(f) if matches!(f.vis, Visibility::Public(_)) && f.sig.asyncness.is_some() => {
                    Some((handle, f.sig.ident.to_string()))
                }
                _ => None,
            }));
        }
        assert!(found.len() > before, "{file} has no operation of {handle}: has it moved?");
    }
    found.retain(|(handle, name)| !ONLY_IN_RUST.contains(&(handle, name)));
    found
}

#[test]
fn every_operation_is_called_by_a_scenario() {
    let called = scenarios::operations();
    let rooms = operations().into_iter().filter(|(handle, _)| *handle != "Kurultai");
    let names = rooms.map(|(handle, name)| format!("{}.{name}", handle.to_lowercase()));
    let missing: Vec<String> =
        names.filter(|name| !called.contains(name) && !ENDLESS.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "no scenario calls {missing:?}");
}

#[test]
fn python_has_every_operation() {
    check("kurultai-py", "python/kurultai", &[".py", ".pyi"], str::to_owned);
}

#[test]
fn node_has_every_operation() {
    check("kurultai-node", "ts", &[".ts"], camel_case);
}

fn check(binding: &str, folder: &str, endings: &[&str], name_there: impl Fn(&str) -> String) {
    if !root().join(binding).is_dir() {
        return;
    }
    let sources = sources(&root().join(binding).join(folder), endings);
    assert!(!sources.is_empty(), "{binding}/{folder} has no {endings:?}");
    let lines: Vec<&str> = sources.iter().flat_map(|text| text.lines()).collect();
    let members = members(&lines);
    let lacks = |(handle, name): &(&str, String)| {
        let name = name_there(name);
        let here = match *handle {
            // `open` stands by itself.
            "Kurultai" => members.values().flatten().any(|member| *member == name),
            handle => members.get(handle).is_some_and(|all| all.contains(&name)),
        };
        (!here).then(|| format!("{handle}.{name}"))
    };
    let missing: Vec<String> = operations().iter().filter_map(lacks).collect();
    assert!(missing.is_empty(), "{binding} lacks {missing:?}, which Rust has");
}

fn sources(folder: &Path, endings: &[&str]) -> Vec<String> {
    let Ok(files) = fs::read_dir(folder) else { return vec![] };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending));
    paths.into_iter().filter(wanted).map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What each class or interface declares, and under an empty name what stands outside. Both languages begin a class
/// at the margin and indent its members alike; what is indented further is a parameter or a body.
fn members(lines: &[&str]) -> BTreeMap<String, Vec<String>> {
    let (mut all, mut class, mut step) = (BTreeMap::<String, Vec<String>>::new(), String::new(), None);
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        let declared = declared(line);
        if indent == 0 && !line.starts_with(['}', ')', '/', '*', '#', '@']) {
            class = declared
                .iter()
                .find_map(|(is_class, name)| is_class.then(|| name.clone()))
                .unwrap_or_default();
            step = None;
        }
        if indent == 0 || indent == *step.get_or_insert(indent) {
            all.entry(class.clone()).or_default().extend(declared.map(|(_, name)| name));
        }
    }
    all
}

/// The name that a line declares, and whether as a class.
fn declared(line: &str) -> Option<(bool, String)> {
    const BEFORE: [&str; 12] = [
        "export",
        "default",
        "declare",
        "async",
        "def",
        "function",
        "const",
        "public",
        "static",
        "get",
        "class",
        "interface",
    ];
    let mut is_class = false;
    let mut rest = line.trim_start();
    while let Some((word, after)) = rest.split_once([' ', '*']).filter(|(word, _)| BEFORE.contains(word)) {
        is_class |= matches!(word, "class" | "interface");
        rest = after.trim_start_matches([' ', '*']);
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let declares = is_class || after.trim_start().starts_with(['(', '<', ':', '=', '?']);
    (declares && !name.is_empty()).then(|| (is_class, name.to_owned()))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(1);
        name + &head.to_uppercase() + tail
    })
}

/// The test itself would not notice a parser that finds everything everywhere.
#[test]
fn a_lacking_operation_is_noticed() {
    let python = "class Tasks:\n    \"\"\"Talks of cancel(x).\"\"\"\n\n    async def enqueue_many(self) -> None:\n        await cancel()\n\n\nclass Agents:\n    def cancel(self): ...\n\n\nasync def open(url): ...";
    let node = "export class Tasks {\n  /** cancel(x) */\n  async enqueueMany(\n    cancel: string,\n  ): Promise<void> {\n    await this.cancel()\n  }\n}\nexport interface Agents {\n  cancel(): void\n}\nexport async function open(url: string) {}";
    for (text, many) in [(python, "enqueue_many"), (node, "enqueueMany")] {
        let members = members(&text.lines().collect::<Vec<_>>());
        assert!(members["Tasks"].contains(&many.to_owned()), "{members:?}");
        assert!(!members["Tasks"].contains(&"cancel".to_owned()), "{members:?}");
        assert!(members["Agents"].contains(&"cancel".to_owned()), "{members:?}");
        assert!(members[""].contains(&"open".to_owned()), "{members:?}");
    }
}
