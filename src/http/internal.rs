//! Who may do what only internal clients may: those that came through an internal listener, and those that
//! send a bearer token of a file. It must not know which requests that are.

#![expect(
    clippy::result_large_err,
    reason = "a Problem is the answer itself: it is made once per refused request and moved to the edge"
)]

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{Extensions, HeaderMap, StatusCode, Uri};
use subtle::{Choice, ConstantTimeEq};

use super::Problem;

/// The longest file of tokens, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The shortest token, in bytes: 16 characters chosen at random cannot be guessed.
const MIN_TOKEN_BYTES: usize = 16;
/// The bits of a file mode that let others than its user and its group in, or let its group write.
const TOO_OPEN: u32 = 0o027;
/// The names by which a token stands in the query of a URL, where logs and caches keep it.
const TOKEN_IN_QUERY: &[&str] = &["access_token", "token", "bearer_token", "authorization"];

/// In the extensions of a request: it came through a listener of the role internal.
#[derive(Clone, Copy, Debug)]
pub struct InternalListener;

/// Refuses requests that are not internal. Cheap to clone.
///
/// ```no_run
/// use axum::{Router, routing::{get, post}};
/// use cluster::http::InternalGuard;
///
/// let app = cluster::App::new("hello").boot(|worker| async move {
///     let tokens = worker.settings().cluster.internal_token_file.as_deref();
///     let guard = InternalGuard::new(tokens)?;
///     let internal = Router::new().route("/greetings", post(async || "counted\n"));
///     Ok(Router::new().route("/", get(async || "hello\n")).merge(guard.protect(internal)))
/// });
/// ```
#[derive(Clone)]
pub struct InternalGuard {
    tokens: Arc<[Token]>,
}

#[derive(PartialEq, Eq)]
struct Token(Vec<u8>);

/// Why the file of `cluster.internal_token_file` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cluster.internal_token_file is {}, {reason}", path.display())]
pub struct TokenFileError {
    path: PathBuf,
    reason: BadTokenFile,
}

#[derive(Debug, thiserror::Error)]
enum BadTokenFile {
    #[error("which cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error(
        "whose mode is {0:04o}, expected one that keeps others from reading it and all but its owner from \
         writing it: chmod 0640 or 0600"
    )]
    TooOpen(u32),
    #[error("which is longer than {MAX_FILE_BYTES} bytes, expected one token a line")]
    TooLong,
    #[error("which has no token, expected one a line: `openssl rand -hex 32` makes one")]
    Empty,
    #[error(
        "whose line {0} is no token, expected at least {MIN_TOKEN_BYTES} characters, each a letter, a digit \
         or one of - . _ ~ + / ="
    )]
    NoToken(usize),
}

impl fmt::Debug for InternalGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = self.tokens.len();
        f.debug_struct("InternalGuard").field("tokens", &tokens).finish()
    }
}

impl InternalGuard {
    /// A guard with the tokens of this file (`cluster.internal_token_file`).
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or a line of it is no token.
    pub fn new(file: Option<&Path>) -> Result<InternalGuard, TokenFileError> {
        let tokens = match file {
            None => Vec::new(),
            Some(path) => tokens(path).map_err(|reason| TokenFileError {
                path: path.to_owned(),
                reason,
            })?,
        };
        Ok(InternalGuard {
            tokens: tokens.into(),
        })
    }

    /// Whether a request may do what only internal ones may. Reads the header `Authorization` and the
    /// extension [`InternalListener`]; a request of gRPC has both, too.
    ///
    /// # Errors
    /// 403 `internal_only` when no token is configured, 401 `token_required` without a token, 401
    /// `token_refused` for another token.
    pub fn check(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<(), Problem> {
        if extensions.get::<InternalListener>().is_some() {
            return Ok(());
        }
        if self.tokens.is_empty() {
            return Err(internal_only());
        }
        match bearer(headers) {
            None => Err(token_required()),
            Some(token) if self.knows(token) => Ok(()),
            Some(_) => Err(token_refused()),
        }
    }

    /// As [`InternalGuard::check`]; a token in the URL is refused with 400 `token_in_url`.
    ///
    /// # Errors
    /// The answer to the client.
    pub fn check_request(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), Problem> {
        if uri.query().is_some_and(has_token) {
            return Err(token_in_url());
        }
        self.check(headers, extensions)
    }

    /// These routes for internal requests alone. A path keeps its other methods: merge the router with one
    /// that has them.
    pub fn protect<S: Clone + Send + Sync + 'static>(&self, internal: Router<S>) -> Router<S> {
        let guard = self.clone();
        internal.route_layer(from_fn(move |request: Request, next: Next| {
            let checked = guard.check_request(request.uri(), request.headers(), request.extensions());
            async move {
                match checked {
                    Ok(()) => next.run(request).await,
                    Err(problem) => problem.into_response(),
                }
            }
        }))
    }

    /// Compares with every token in a time that tells nothing of any.
    fn knows(&self, given: &[u8]) -> bool {
        let equal = |known: Choice, token: &Token| known | token.0.ct_eq(given);
        self.tokens.iter().fold(Choice::from(0), equal).into()
    }
}

fn internal_only() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "internal_only",
        "this is answered at internal addresses alone (cluster.internal), or to a bearer token \
         (cluster.internal_token_file)",
    )
}

fn token_required() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "token_required",
        "this needs the header Authorization: Bearer with a token of cluster.internal_token_file, or an \
         internal listener (cluster.internal)",
    )
    .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn token_refused() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "token_refused",
        "this bearer token is not one of cluster.internal_token_file",
    )
    .header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer error=\"invalid_token\""),
    )
}

fn token_in_url() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "token_in_url",
        "a token in a URL ends in logs and histories, so it is not read; send the header Authorization: \
         Bearer, and replace this token if it was a real one",
    )
}

fn has_token(query: &str) -> bool {
    query.split('&').any(|member| {
        let name = member.split_once('=').map_or(member, |(name, _)| name);
        TOKEN_IN_QUERY
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    })
}

/// The bearer token of a request that has one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn tokens(path: &Path) -> Result<Vec<Token>, BadTokenFile> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o7777;
    if mode & TOO_OPEN != 0 {
        return Err(BadTokenFile::TooOpen(mode));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(BadTokenFile::TooLong);
    }
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let tokens: Vec<Token> = lines
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| match is_token(line) {
            true => Ok(Token(line.to_vec())),
            false => Err(BadTokenFile::NoToken(at + 1)),
        })
        .collect::<Result<_, _>>()?;
    match tokens.is_empty() {
        true => Err(BadTokenFile::Empty),
        false => Ok(tokens),
    }
}

/// The characters are those of RFC 6750 (2.1).
fn is_token(line: &[u8]) -> bool {
    let is_possible = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    line.len() >= MIN_TOKEN_BYTES && line.iter().all(is_possible)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use axum::body::Body;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    use super::*;

    const FIRST: &str = "0123456789abcdef";
    const SECOND: &str = "fedcba9876543210=";

    fn of_file(text: &[u8], mode: u32) -> Result<InternalGuard, TokenFileError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tokens");
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
        InternalGuard::new(Some(&path))
    }

    fn guard() -> InternalGuard {
        let text = format!("{FIRST}\r\n\n  {SECOND}\n");
        of_file(text.as_bytes(), 0o640).expect("good tokens")
    }

    fn router(guard: &InternalGuard) -> Router {
        let internal = Router::new().route("/it", post(async || "changed"));
        super::super::fallbacks(
            Router::new()
                .route("/it", get(async || "read"))
                .merge(guard.protect(internal)),
        )
    }

    async fn ask(guard: &InternalGuard, method: &str, path: &str, authorization: &[&str]) -> u16 {
        let mut request = http::Request::builder().method(method).uri(path);
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = router(guard).oneshot(request).await.expect("infallible");
        assert_eq!(
            response.status() == StatusCode::UNAUTHORIZED,
            response.headers().contains_key(WWW_AUTHENTICATE)
        );
        response.status().as_u16()
    }

    #[tokio::test]
    async fn a_token_of_the_file_is_taken_and_no_other() {
        let guard = guard();
        for (authorization, status) in [
            (vec![format!("Bearer {FIRST}")], 200),
            (vec![format!("bearer  {SECOND}")], 200),
            (vec![], 401),
            (vec![format!("Basic {FIRST}")], 401),
            (vec![format!("Bearer {FIRST}x")], 401),
            (vec!["Bearer ".to_owned()], 401),
            (vec!["Bearer".to_owned()], 401),
            (vec![format!("Bearer {FIRST}"), format!("Bearer {FIRST}")], 401),
        ] {
            let given: Vec<&str> = authorization.iter().map(String::as_str).collect();
            assert_eq!(ask(&guard, "POST", "/it", &given).await, status, "{given:?}");
        }
        assert_eq!(
            ask(&guard, "GET", "/it", &[]).await,
            200,
            "the other methods of the path"
        );
        assert_eq!(ask(&guard, "DELETE", "/it", &[]).await, 405);
    }

    #[tokio::test]
    async fn a_token_in_the_url_is_refused_whatever_else_is_sent() {
        let bearer = format!("Bearer {FIRST}");
        for path in ["/it?access_token=x", "/it?a=1&TOKEN=x", "/it?token"] {
            assert_eq!(ask(&guard(), "POST", path, &[&bearer]).await, 400, "{path}");
        }
        assert_eq!(ask(&guard(), "POST", "/it?tokens=1", &[&bearer]).await, 200);
    }

    #[tokio::test]
    async fn without_tokens_the_listener_alone_counts() {
        let guard = InternalGuard::new(None).expect("no file");
        let bearer = format!("Bearer {FIRST}");
        assert_eq!(ask(&guard, "POST", "/it", &[&bearer]).await, 403);
        let mut extensions = Extensions::new();
        extensions.insert(InternalListener);
        assert!(guard.check(&HeaderMap::new(), &extensions).is_ok());
    }

    #[test]
    fn a_file_that_others_may_read_or_that_has_no_token_is_refused() {
        let good = FIRST.as_bytes();
        for (text, mode, words) in [
            (good, 0o644, "whose mode is 0644"),
            (good, 0o660, "whose mode is 0660"),
            (b"" as &[u8], 0o600, "which has no token"),
            (b" \n\n", 0o600, "which has no token"),
            (b"short", 0o600, "whose line 1 is no token"),
            (b"0123456789abcdef\nwith a blank in it", 0o600, "whose line 2"),
            (&[b'x'; 70_000], 0o600, "longer than 65536 bytes"),
        ] {
            let refused = of_file(text, mode).expect_err("refused");
            assert!(refused.to_string().contains(words), "{refused}");
            assert!(!refused.to_string().contains(FIRST), "{refused}");
        }
        let absent = Path::new("/nowhere/tokens");
        let refused = InternalGuard::new(Some(absent)).expect_err("refused").to_string();
        assert!(
            refused.contains("/nowhere/tokens, which cannot be read"),
            "{refused}"
        );
        assert!(!format!("{:?}", guard()).contains(FIRST));
    }
}
