//! The description of the API, held against the routes, the reference, and itself.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::Request;
use serde_json::Value;

use super::test_shop::{TestShop, internal_routes};
use crate::shop::http::openapi::DOCUMENT;

const ROUTES: &str = include_str!("../http/mod.rs");
const REFERENCE: &str = include_str!("../../../docs/reference/shop-api.md");
const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "options", "trace"];

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Path, method and operation of everything that is described.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(|(method, what)| (path.clone(), method.clone(), what))
        })
        .collect()
}

/// Path and method of every route, as the router is written.
fn routes() -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for route in ROUTES.split(".route(").skip(1) {
        let mut pieces = route.trim_start().splitn(3, '"');
        let path = pieces.nth(1).unwrap();
        let handlers = pieces.next().unwrap();
        let handlers = handlers.split("\n        .route(").next().unwrap();
        let handlers = handlers.split("\n}").next().unwrap();
        for method in METHODS {
            if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}(")) {
                routes.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    routes
}

#[test]
fn what_is_described_are_the_routes_and_no_others() {
    let document = document();
    let described: BTreeSet<(String, String)> = operations(&document)
        .into_iter()
        .map(|(path, method, _)| (path, method))
        .collect();
    assert!(described.len() > 10, "{described:?}");
    assert_eq!(described, routes());
}

#[tokio::test]
async fn every_method_that_is_described_is_served_and_every_other_is_405() {
    let shop = TestShop::open().await;
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let filled = path.replace("{sku}", "espresso-cup").replace("{id}", "none");
        for method in METHODS {
            let request = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(&filled);
            // What waits for events, or streams them, is answered at once to a request that asks for nothing.
            let answer = shop.send(request.body(Body::empty()).unwrap()).await;
            let is_served = answer.status.as_u16() != 405
                && (answer.status.as_u16() != 404 || answer.json()["code"] != "not_found");
            let is_described = methods.get(method).is_some();
            assert_eq!(is_served, is_described, "{method} {path}: {answer:?}");
        }
    }
}

/// The codes of the reference with the cell of their status.
fn documented_codes() -> BTreeMap<&'static str, &'static str> {
    let (_, table) = REFERENCE.split_once("<!-- problem codes -->").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (code, rest) = row.split_once("` | ")?;
        let (status, _) = rest.split_once(" |")?;
        status
            .starts_with(|first: char| first.is_ascii_digit())
            .then_some((code, status))
    })
    .collect()
}

#[test]
fn every_code_is_listed_and_stands_at_its_status() {
    let (document, documented) = (document(), documented_codes());
    let listed = document
        .pointer("/components/schemas/Problem/properties/code/enum")
        .unwrap();
    let listed: BTreeSet<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(listed, documented.keys().copied().collect());
    for (path, method, what) in operations(&document) {
        for (status, response) in what["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            let codes =
                response.pointer("/content/application~1problem+json/schema/allOf/1/properties/code/enum");
            let is_error = status.starts_with(['4', '5']);
            assert_eq!(codes.is_some(), is_error, "{method} {path} {status}");
            for code in codes.and_then(Value::as_array).into_iter().flatten() {
                let code = code.as_str().unwrap();
                assert!(
                    documented[code].contains(status.as_str()),
                    "{method} {path}: {code} at {status}"
                );
            }
        }
    }
}

fn resolved<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).expect(reference),
        None => node,
    }
}

fn check_references(document: &Value, node: &Value) {
    match node {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                assert!(
                    document.pointer(&reference[1..]).is_some(),
                    "{reference} leads nowhere"
                );
            }
            members
                .values()
                .for_each(|member| check_references(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(document, item)),
        _ => {}
    }
}

#[test]
fn the_document_is_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    check_references(&document, &document);
    let ids: Vec<&str> = operations(&document)
        .iter()
        .filter_map(|(_, _, what)| what["operationId"].as_str())
        .collect();
    assert_eq!(ids.len(), operations(&document).len());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}

#[tokio::test]
async fn the_document_and_the_page_are_served() {
    let shop = TestShop::open().await;
    let answer = shop.get("/openapi.json").await;
    assert_eq!(
        (answer.status.as_u16(), answer.bytes.as_slice()),
        (200, DOCUMENT.as_bytes())
    );
    assert!(answer.headers.contains_key("etag"));
    assert_eq!(
        shop.get("/docs").await.problem(),
        (404, "not_found".to_owned()),
        "unless shop.docs is set"
    );
    let router = internal_routes(crate::shop::http::AppState {
        docs: true,
        ..shop.state.clone()
    });
    let shop = TestShop { router, ..shop };
    let page = shop.get("/docs").await;
    assert_eq!(page.headers["content-security-policy"], "default-src 'self'");
    let text = String::from_utf8(page.bytes).unwrap();
    assert!(!text.contains("http"), "the page asks no other server: {text}");
    for part in ["/docs/page.js", "/docs/page.css", "/openapi.json"] {
        assert!(text.contains(&part[1..]), "{part}");
        assert_eq!(shop.get(part).await.status.as_u16(), 200, "{part}");
    }
}
