//! Who may change stock: clients of an internal listener, and those that send a token of the file.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::json;

use crate::common::{Answer, Cli, Cluster, Plan, client};

const FIRST: &str = "first-0123456789abcdef";
const SECOND: &str = "second-0123456789abcdef";

fn article() -> String {
    json!({"name": "Lamp", "unit_price": {"amount": 900, "currency": "USD"}, "on_hand": 5}).to_string()
}

/// The status of a PUT of an article at the first TCP address, with this token.
fn put_with(cluster: &Cluster, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = client()
        .put(cluster.url(path))
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", &format!("Bearer {token}"));
    }
    let answer = Answer::try_of(request.send(&article())).expect("an answer");
    let code = match answer.status {
        200 | 201 => "",
        _ => answer.json()["code"]
            .as_str()
            .map(str::to_owned)
            .expect("a code")
            .leak(),
    };
    (answer.status, code.to_owned())
}

/// The first line of the answer to the same PUT over a unix socket.
fn put_over(socket: &Path) -> String {
    let body = article();
    let length = body.len();
    let mut stream = UnixStream::connect(socket).expect("connected");
    write!(
        stream,
        "PUT /inventory/lamp HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer.lines().next().unwrap_or_default().to_owned()
}

fn write_tokens(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("set");
}

#[test]
fn an_internal_address_changes_stock_and_another_does_not() {
    let plan = Plan::shop();
    let socket = plan.directory().join("internal.sock");
    let line = format!("internal = [\"unix:{}\"]", socket.display());
    let cluster = plan.with("[cluster]", &line).start();
    let refused = (403, "internal_only".to_owned());
    assert_eq!(put_with(&cluster, "/inventory/lamp", None), refused);
    assert_eq!(put_with(&cluster, "/inventory/lamp", Some(FIRST)), refused);
    assert_eq!(put_over(&socket), "HTTP/1.1 201 Created");
    assert_eq!(
        cluster.get("/inventory/lamp").status,
        200,
        "reading is for everybody"
    );
    assert!(cluster.stop().success());
}

#[test]
fn a_token_changes_stock_and_a_reload_reads_the_file_anew() {
    let plan = Plan::shop();
    let file = plan.directory().join("tokens");
    write_tokens(&file, FIRST);
    let line = format!("internal_token_file = {:?}", file.display().to_string());
    let cluster = plan.with("[cluster]", &line).start();
    let put = |token| put_with(&cluster, "/inventory/lamp", token).0;
    assert_eq!([put(None), put(Some(SECOND)), put(Some(FIRST))], [401, 401, 201]);
    let in_url = put_with(
        &cluster,
        &format!("/inventory/lamp?access_token={FIRST}"),
        Some(FIRST),
    );
    assert_eq!(in_url, (400, "token_in_url".to_owned()));
    write_tokens(&file, SECOND);
    let reloaded = cluster.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    // The old workers answer what they had accepted, by the tokens that they know.
    cluster.wait_for_many(0, "worker gone", 2);
    assert_eq!([put(Some(FIRST)), put(Some(SECOND))], [401, 200]);
    write_tokens(&file, "short");
    let refused = cluster.run(&["reload"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(put(Some(SECOND)), 200, "what served before serves on");
    let said: String = cluster.log().iter().map(ToString::to_string).collect();
    assert!(!said.contains(FIRST) && !said.contains(SECOND), "{said}");
    assert!(cluster.stop().success());
}

#[test]
fn a_public_address_refuses_and_says_so_at_the_start() {
    let plan = Plan::shop().replace("127.0.0.1:0", "0.0.0.0:0");
    let cluster = plan.replace("routes = true", "routes = false").launch();
    cluster.wait_for("requests that change stock or read events are refused at 0.0.0.0:0");
    cluster.wait_for("serving: every worker is ready");
    let refused = (403, "internal_only".to_owned());
    assert_eq!(put_with(&cluster, "/inventory/lamp", None), refused);
    assert!(cluster.stop().success());
}
