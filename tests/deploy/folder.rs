//! A folder of `deploy/kubernetes`: its manifests, read, and its configuration of the cluster.

use std::fs;
use std::path::{Path, PathBuf};

use cluster::config::{ConfigFile, Overrides, Settings, read};
use serde::Deserialize as _;
use serde_json::Value;

/// One folder with a `kustomization.yaml`.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) kustomization: Value,
    /// All documents of all other files.
    pub(crate) manifests: Vec<Value>,
}

/// A pod as a StatefulSet or a Deployment makes it, with the folder that it stands in.
pub(crate) struct PodTemplate<'a> {
    pub(crate) folder: &'a Folder,
    /// The StatefulSet or Deployment.
    pub(crate) owner: &'a Value,
    pub(crate) template: &'a Value,
}

/// Below the root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every folder, in the order of their names.
pub(crate) fn all() -> Vec<Folder> {
    let root = repository().join("deploy/kubernetes");
    let entries = fs::read_dir(&root).expect("a readable folder");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no folders", root.display());
    paths.into_iter().map(Folder::read).collect()
}

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parsed = yaml_serde::Deserializer::from_str(&text).map(Value::deserialize);
    parsed
        .map(|document| document.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .collect()
}

impl Folder {
    fn read(path: PathBuf) -> Folder {
        let files = yaml_files(&path);
        let manifests = files.iter().filter(|name| *name != "kustomization.yaml");
        Folder {
            kustomization: documents(&path.join("kustomization.yaml")).remove(0),
            manifests: manifests.flat_map(|name| documents(&path.join(name))).collect(),
            path,
        }
    }

    pub(crate) fn files(&self) -> Vec<String> {
        yaml_files(&self.path)
    }

    /// The manifests of one kind.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.manifests
            .iter()
            .filter(move |manifest| manifest["kind"] == kind)
    }

    pub(crate) fn pods(&self) -> impl Iterator<Item = PodTemplate<'_>> {
        let owners = self.of_kind("StatefulSet").chain(self.of_kind("Deployment"));
        owners.map(|owner| PodTemplate {
            folder: self,
            owner,
            template: &owner["spec"]["template"],
        })
    }

    /// The settings of `cluster.toml`, which the program accepts.
    pub(crate) fn settings(&self) -> Settings {
        let path = self.path.join("cluster.toml");
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.to_str().expect("text");
        let file = ConfigFile { name, bytes: &bytes };
        let effective = read(cluster::shop::SECTIONS, Some(file), &Overrides::default());
        effective.unwrap_or_else(|problems| panic!("{problems}")).settings
    }
}

fn yaml_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a readable folder");
    let names = entries.map(|entry| entry.expect("a readable entry").file_name());
    let mut names: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    names.sort();
    names
}

impl PodTemplate<'_> {
    pub(crate) fn spec(&self) -> &Value {
        &self.template["spec"]
    }

    pub(crate) fn container(&self) -> &Value {
        &self.spec()["containers"][0]
    }

    pub(crate) fn name(&self) -> String {
        format!(
            "{} in {}",
            self.owner["metadata"]["name"],
            self.folder.path.display()
        )
    }
}

/// Runs a check on every pod of every folder.
pub(crate) fn for_each_pod(check: impl Fn(&PodTemplate<'_>)) {
    let folders = all();
    let pods: Vec<_> = folders.iter().flat_map(Folder::pods).collect();
    assert!(
        !pods.is_empty(),
        "no folder has a pod: the manifests are not read rightly"
    );
    pods.iter().for_each(check);
}

/// The elements of a list; none when it is missing.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text at this place.
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected a text, found {value}"))
}
