//! Which request the code that runs now works for. Whoever serves a request says so around its future; every
//! log line of that future, and every problem document, then names the request.

use std::fmt;
use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id of a request, in the request and in its answer.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that carries the caller's trace (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest id that is taken over from a client, in bytes.
const LONGEST_ID: usize = 128;
/// The length of a `traceparent` of version 00, in bytes.
const TRACEPARENT_LENGTH: usize = 55;

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// The id of a request, and the trace that it belongs to.
///
/// The id is the client's `x-request-id` (1 to 128 visible ASCII characters, sent once); without one it is
/// the trace id of its `traceparent`; without either it is made: 32 hexadecimal digits.
///
/// A handler takes it as an axum extractor, or asks [`RequestContext::current`]. A task that a handler spawns
/// works for nobody until it is wrapped:
///
/// ```
/// use cluster::observe::RequestContext;
///
/// async fn handler() {
///     let context = RequestContext::current_or_made();
///     tokio::spawn(context.scope(async {
///         tracing::info!("this line has the request's id");
///     }));
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RequestContext {
    id: HeaderValue,
    traceparent: Option<HeaderValue>,
}

impl RequestContext {
    /// The context of a request with these headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> RequestContext {
        let traceparent = only(headers, &TRACEPARENT).filter(|value| is_traceparent(value.as_bytes()));
        let given = only(headers, &X_REQUEST_ID).filter(|value| is_id(value.as_bytes()));
        let id = match (given, traceparent) {
            (Some(id), _) => id.clone(),
            (None, Some(trace)) => trace_id(trace),
            (None, None) => made_id(),
        };
        RequestContext {
            id,
            traceparent: traceparent.cloned(),
        }
    }

    /// The context of work that goes on for a request whose id and trace were kept. `None` when the id is
    /// none that a request can have.
    #[must_use]
    pub fn kept(id: &str, traceparent: Option<&str>) -> Option<RequestContext> {
        let value = |text: &str| HeaderValue::from_str(text).ok();
        Some(RequestContext {
            id: value(id).filter(|id| is_id(id.as_bytes()))?,
            traceparent: traceparent
                .filter(|trace| is_traceparent(trace.as_bytes()))
                .and_then(value),
        })
    }

    /// The context of the code that runs now; `None` outside of a request.
    #[must_use]
    pub fn current() -> Option<RequestContext> {
        CURRENT.try_with(RequestContext::clone).ok()
    }

    /// As [`RequestContext::current`]; outside of a request, a new one.
    #[must_use]
    pub fn current_or_made() -> RequestContext {
        RequestContext::current().unwrap_or_else(RequestContext::made)
    }

    /// A new context, for what no client asked for.
    #[must_use]
    pub fn made() -> RequestContext {
        RequestContext {
            id: made_id(),
            traceparent: None,
        }
    }

    /// The id of the request.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// The id as the value of a header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.id.clone()
    }

    /// The `traceparent` that the client sent, if it is one.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_ref()?.to_str().ok()
    }

    /// The future, working for this request.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// Runs the function for this request.
    pub fn run<T>(self, function: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, function)
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("id", &self.id())
            .field("traceparent", &self.traceparent())
            .finish()
    }
}

/// The id of the request that the code that runs now works for, for a log line.
pub(crate) fn current_id() -> Option<String> {
    CURRENT.try_with(|context| context.id().to_owned()).ok()
}

/// The value of a header that was sent once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn is_id(bytes: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// Whether this is a `traceparent` as W3C Trace Context level 1 has it: version, trace id, parent id and
/// flags in lower-case hexadecimal. A version after 00 may go on behind them.
fn is_traceparent(bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_at_checked(TRACEPARENT_LENGTH) else {
        return false;
    };
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let (version, trace, parent, flags) = (&head[..2], &head[3..35], &head[36..52], &head[53..]);
    let dashes = [head[2], head[35], head[52]] == [b'-'; 3];
    let goes_on = rest.is_empty() || (version != b"00" && rest[0] == b'-');
    dashes
        && goes_on
        && version != b"ff"
        && [version, trace, parent, flags].iter().all(|part| is_hex(part))
        && !is_zero(trace)
        && !is_zero(parent)
}

fn trace_id(traceparent: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(&traceparent.as_bytes()[3..35]).unwrap_or_else(|_| made_id())
}

/// An id that no other request has: 128 random bits, as a trace id has them.
fn made_id() -> HeaderValue {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut rest = fastrand::u128(1..);
    let mut text = [0_u8; 32];
    for digit in &mut text {
        *digit = DIGITS[usize::from((rest & 0xf) as u8)];
        rest >>= 4;
    }
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn context(headers: &[(&'static str, &str)]) -> RequestContext {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        RequestContext::of(&map)
    }

    #[test]
    fn the_id_is_the_clients_or_that_of_its_trace_or_made() {
        let given = context(&[("x-request-id", "a-1"), ("traceparent", TRACE)]);
        assert_eq!((given.id(), given.traceparent()), ("a-1", Some(TRACE)));
        assert_eq!(context(&[("traceparent", TRACE)]).id(), &TRACE[3..35]);
        let (one, another) = (context(&[]), context(&[]));
        assert!(one.id().len() == 32 && one != another, "{one:?} {another:?}");
    }

    #[test]
    fn what_is_no_id_is_not_taken_over() {
        let long = "x".repeat(LONGEST_ID + 1);
        for bad in ["", "a b", "ü", long.as_str()] {
            assert_eq!(context(&[("x-request-id", bad)]).id().len(), 32, "{bad:?}");
        }
        let twice = context(&[("x-request-id", "a"), ("x-request-id", "b")]);
        assert_eq!(twice.id().len(), 32);
        let longest = "x".repeat(LONGEST_ID);
        assert_eq!(context(&[("x-request-id", &longest)]).id(), longest);
    }

    #[test]
    fn a_trace_is_taken_over_only_if_it_is_one() {
        let bad = [
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "",
        ];
        for bad in bad {
            assert_eq!(context(&[("traceparent", bad)]).traceparent(), None, "{bad}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(context(&[("traceparent", later)]).traceparent(), Some(later));
        let twice = context(&[("traceparent", TRACE), ("traceparent", TRACE)]);
        assert_eq!(twice.traceparent(), None);
    }

    #[test]
    fn what_was_kept_is_checked_again() {
        let kept = RequestContext::kept("a-1", Some(TRACE)).expect("an id");
        assert_eq!((kept.id(), kept.traceparent()), ("a-1", Some(TRACE)));
        let kept = RequestContext::kept("a-1", Some("nonsense")).expect("an id");
        assert_eq!(kept.traceparent(), None);
        assert_eq!(RequestContext::kept("a 1", None), None);
    }

    #[tokio::test]
    async fn it_is_known_within_its_scope_alone() {
        assert_eq!(RequestContext::current(), None);
        let context = RequestContext::made();
        let within = async { (current_id(), RequestContext::current_or_made()) };
        let (id, found) = context.clone().scope(within).await;
        assert_eq!((id.as_deref(), &found), (Some(context.id()), &context));
        assert_eq!(context.clone().run(current_id).as_deref(), Some(context.id()));
        assert_eq!(current_id(), None);
    }
}
