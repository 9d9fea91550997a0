//! Import circles: files that cannot be read one after the other, because each of them names something of the
//! others.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{self, at_most};
use crate::modules::Modules;

type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Groups of nodes each of which leads to each other.
pub(crate) fn circles<'a>(edges: &Edges<'a>) -> Vec<Vec<&'a str>> {
    let reach: Edges = edges.keys().map(|node| (*node, reachable(edges, node))).collect();
    let mut found: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (node, reached) in &reach {
        let circle = reached.iter().filter(|other| reach[*other].contains(node));
        found.insert(circle.copied().collect());
    }
    found.into_iter().filter(|circle| circle.len() > 1).collect()
}

fn reachable<'a>(edges: &Edges<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = edges[from].iter().copied().collect();
    while let Some(node) = open.pop() {
        if reached.insert(node) {
            open.extend(&edges[node]);
        }
    }
    reached
}

#[test]
fn few_files_import_each_other() {
    let modules = Modules::of_the_library();
    let found: Vec<String> = circles(&modules.uses())
        .iter()
        .map(|circle| circle.join(" "))
        .collect();
    at_most(limits::CIRCLES, "import circles", &found);
    let in_pool = |circle: &&String| circle.contains("src/pool/");
    let in_pool: Vec<String> = found.iter().filter(in_pool).cloned().collect();
    at_most(limits::CIRCLES_IN_POOL, "import circles in src/pool", &in_pool);
}
