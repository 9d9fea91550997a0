//! The modules of the product and what each of them names: the tree that `mod` spans from a root file, with
//! every path followed through re-exports to the module that defines the thing. It must not know any rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::source::{self, Parts};
use crate::tokens::{Kind, Token};

/// One module of the product, without its tests.
pub(crate) struct Module {
    /// Below the root, such as `["pool", "slot"]`; empty for the root itself.
    pub(crate) name: Parts,
    /// The file it stands in, such as `src/pool/slot/mod.rs`.
    pub(crate) file: String,
    pub(crate) tokens: Vec<Token>,
    children: BTreeSet<String>,
    /// What its `use` items bring in: the name here, and where it comes from.
    imports: BTreeMap<String, Parts>,
}

/// All modules of one root file.
pub(crate) struct Modules(BTreeMap<Parts, Module>);

impl Modules {
    /// The library's modules.
    pub(crate) fn of_the_library() -> &'static Modules {
        static LIBRARY: LazyLock<Modules> =
            LazyLock::new(|| Modules::below(&source::repository().join("src/lib.rs")));
        &LIBRARY
    }

    /// The modules that `mod` declares from this file on.
    pub(crate) fn below(root: &Path) -> Modules {
        let mut modules = Modules(BTreeMap::new());
        modules.add_file(Vec::new(), root);
        modules
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Module> {
        self.0.values()
    }

    fn add_file(&mut self, name: Parts, path: &Path) {
        let source = source::read(path);
        let tokens = source::without_tests(&source.tokens);
        self.add(name, &source.path, &tokens);
    }

    fn add(&mut self, name: Parts, file: &str, tokens: &[Token]) {
        let (mut own, mut children) = (Vec::new(), BTreeSet::new());
        let mut rest = tokens;
        while let [token, after @ ..] = rest {
            rest = after;
            let child = after
                .first()
                .and_then(Token::word)
                .filter(|_| token.is_word("mod"));
            if let (Some(child), Some(body)) = (child, after.get(1)) {
                let inside = below(&name, child);
                match body.group('{') {
                    Some(body) => self.add(inside, file, &body.inside),
                    None => self.add_file(inside, &file_of(file, &name, child)),
                }
                children.insert(child.to_owned());
                rest = &after[2..];
            } else {
                own.push(token.clone());
            }
        }
        let mut module = Module {
            name,
            file: file.to_owned(),
            tokens: own,
            children,
            imports: BTreeMap::new(),
        };
        module.imports = module.imported();
        self.0.insert(module.name.clone(), module);
    }

    /// Every path in a module that leads to another module of the tree, as it is written from the root on:
    /// `["pool", "Pool"]`.
    pub(crate) fn named_in(&self, module: &Module) -> BTreeSet<Parts> {
        self.absolute(module, source::paths(&module.tokens))
    }

    /// Which files use which: each file, and those that define what it uses. A module hands on with `pub use`
    /// what it does not use itself, and consists of the modules below it: neither counts.
    pub(crate) fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for module in self.all() {
            let paths = source::paths(&without_re_exports(&module.tokens));
            let used = self.absolute(module, paths).into_iter();
            let used = used.filter_map(|path| self.definition(&path, 0));
            let others = used.filter(|other| !other.name.starts_with(&module.name));
            uses.entry(&module.file)
                .or_default()
                .extend(others.map(|other| other.file.as_str()));
        }
        uses
    }

    fn absolute(&self, module: &Module, paths: Vec<Parts>) -> BTreeSet<Parts> {
        let paths = paths.into_iter().filter_map(|path| module.absolute(path));
        paths.filter(|path| !path.is_empty()).collect()
    }

    /// The module in which the last name of a path is defined.
    fn definition(&self, path: &[String], depth: usize) -> Option<&Module> {
        assert!(depth < 16, "{path:?} is re-exported in a circle");
        let mut module = self.0.get(&Vec::new())?;
        for (at, part) in path.iter().enumerate() {
            if module.children.contains(part) {
                module = &self.0[&path[..=at].to_vec()];
            } else if let Some(from) = module.imports.get(part) {
                let rest = path[at + 1..].iter().cloned();
                let path: Parts = from.iter().cloned().chain(rest).collect();
                return self.definition(&path, depth + 1);
            } else {
                break;
            }
        }
        Some(module)
    }
}

impl Module {
    /// A path of this module from the root on; none when it leads out of the crate, or is a name that was
    /// imported before.
    fn absolute(&self, path: Parts) -> Option<Parts> {
        // In `main.rs` the library has a name; in the library the same name may be a module's.
        let first = path.first()?.as_str();
        if self.children.contains(first) {
            return Some(self.name.iter().cloned().chain(path).collect());
        }
        let mut from = match first {
            "crate" | "cluster" => Vec::new(),
            "self" | "super" => self.name.clone(),
            _ => return None,
        };
        let steps = path.iter().take_while(|part| is_a_step(part)).count();
        let up = path[..steps].iter().filter(|part| *part == "super").count();
        from.truncate(from.len().checked_sub(up)?);
        from.extend(
            path.into_iter()
                .skip(steps)
                .filter(|part| part != "self" && part != "*"),
        );
        Some(from)
    }

    fn imported(&self) -> BTreeMap<String, Parts> {
        let mut imports = BTreeMap::new();
        for item in self.tokens.split(|token| token.is_mark(';')) {
            if let Some(at) = item.iter().position(|token| token.is_word("use")) {
                for (name, path) in names(&item[at + 1..], &[]) {
                    imports.extend(self.absolute(path).map(|path| (name, path)));
                }
            }
        }
        imports
    }
}

fn is_a_step(part: &str) -> bool {
    ["crate", "cluster", "self", "super"].contains(&part)
}

/// Every name that a `use` brings in, with the path it stands for.
fn names(tree: &[Token], prefix: &[String]) -> Vec<(String, Parts)> {
    let mut found = Vec::new();
    for branch in tree.split(|token| token.is_mark(',')) {
        let renamed = branch.iter().position(|token| token.is_word("as"));
        let steps = branch[..renamed.unwrap_or(branch.len())].iter();
        let steps = steps.filter_map(Token::word).map(str::to_owned);
        let mut path: Parts = prefix.iter().cloned().chain(steps).collect();
        match branch.last().map(|token| &token.kind) {
            Some(Kind::Group(group)) => found.extend(names(&group.inside, &path)),
            Some(Kind::Word(last)) => {
                path.truncate(
                    path.len()
                        - usize::from(path.len() > 1 && path.last().is_some_and(|part| part == "self")),
                );
                let name = if last == "self" {
                    path.last().cloned()
                } else {
                    Some(last.clone())
                };
                found.extend(name.map(|name| (name, path)));
            }
            _ => {}
        }
    }
    found
}

/// The tokens without `pub use ..;` and its kind.
fn without_re_exports(tokens: &[Token]) -> Vec<Token> {
    let (mut kept, mut rest) = (Vec::new(), tokens);
    while let [token, after @ ..] = rest {
        let is_restricted = after.first().is_some_and(|token| token.group('(').is_some());
        let next = after.get(usize::from(is_restricted));
        if token.is_word("pub") && next.is_some_and(|token| token.is_word("use")) {
            let end = after
                .iter()
                .position(|token| token.is_mark(';'))
                .expect("the end of a use");
            rest = &after[end + 1..];
        } else {
            kept.push(token.clone());
            rest = after;
        }
    }
    kept
}

fn below(name: &[String], child: &str) -> Parts {
    [name, &[child.to_owned()]].concat()
}

/// Where the module `child` of a module stands.
fn file_of(parent: &str, name: &[String], child: &str) -> PathBuf {
    let parent = source::repository().join(parent);
    let directory = parent.parent().expect("a folder");
    let is_folder = parent.file_name().is_some_and(|file| file == "mod.rs") || name.is_empty();
    let directory = if is_folder {
        directory.to_owned()
    } else {
        parent.with_extension("")
    };
    let file = directory.join(format!("{child}.rs"));
    if file.exists() {
        file
    } else {
        directory.join(child).join("mod.rs")
    }
}
