//! The code that is generated from the `.proto` files is committed, so that a build needs neither protoc nor
//! the generator. These tests prove it fresh; `CLUSTER_UPDATE=1 cargo test --test protos` writes it anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that holds the descriptors of some sources, and these sources.
const SETS: &[(&str, &[&str])] = &[
    ("grpc.health.v1", &["grpc/health/v1/health.proto"]),
    ("greeter.v1", &["greeter/v1/greeter.proto"]),
    (
        "shop.v1",
        &[
            "shop/v1/events.proto",
            "shop/v1/orders.proto",
            "shop/v1/inventory.proto",
            "shop/v1/payments.proto",
        ],
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")
}

/// What the generator makes of the sources: the contents of each file.
fn generated() -> BTreeMap<String, Vec<u8>> {
    let place = tempfile::tempdir().expect("a directory");
    for (name, sources) in SETS {
        let mut compiler = protox::Compiler::new([folder()]).expect("the folder of the sources");
        compiler.include_imports(true).include_source_info(true);
        compiler
            .open_files(*sources)
            .unwrap_or_else(|error| panic!("{error:?}"));
        let mut set = compiler.file_descriptor_set();
        tonic_prost_build::configure()
            .out_dir(place.path())
            .build_transport(false)
            .emit_rerun_if_changed(false)
            .compile_fds(set.clone())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // Clients that ask for the descriptors need no comments.
        for file in &mut set.file {
            file.source_code_info = None;
        }
        let bytes = prost::Message::encode_to_vec(&set);
        fs::write(place.path().join(format!("{name}.descriptors")), bytes).expect("written");
    }
    let files = fs::read_dir(place.path()).expect("readable").flatten();
    let contents = files.map(|file| {
        let name = file.file_name().into_string().expect("text");
        (name, fs::read(file.path()).expect("readable"))
    });
    contents.collect()
}

#[test]
fn the_generated_code_is_fresh() {
    let place = folder().join("generated");
    let generated = generated();
    if std::env::var_os("CLUSTER_UPDATE").is_some() {
        for (name, contents) in &generated {
            fs::write(place.join(name), contents).expect("written");
        }
    }
    let committed = fs::read_dir(&place).expect("readable").flatten();
    let committed: Vec<String> = committed
        .map(|file| file.file_name().into_string().expect("text"))
        .collect();
    for name in &committed {
        assert!(
            generated.contains_key(name),
            "nothing makes proto/generated/{name}"
        );
    }
    for (name, contents) in &generated {
        let is_fresh = fs::read(place.join(name)).is_ok_and(|found| found == *contents);
        assert!(
            is_fresh,
            "proto/generated/{name} is stale: run CLUSTER_UPDATE=1 cargo test --test protos"
        );
    }
}
