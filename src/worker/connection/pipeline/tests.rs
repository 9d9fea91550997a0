//! Tests of `pipeline`.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\nCookie: x\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nContent-Type: text/plain\r\ncontent-LENGTH:  9\r\n\r\n\r\n\r\nGET /";

const CHUNKS: &str = "POST / HTTP/1.1\r\nContent-Length: 7\r\nTransfer-Encoding:  Chunked\r\n\r\n\
                      b;ext=1\r\nGET / HTTP/\r\n2 ;x\r\n\r\n\r\n0\r\nX-Sum: 1\r\n\r\n";

/// After these bytes, fed in pieces of this length.
fn fed(text: &str, piece: usize) -> Pipeline {
    let mut pipeline = Pipeline::new();
    let mut taken = 0;
    for part in text.as_bytes().chunks(piece) {
        taken += pipeline.feed(part);
    }
    let is_whole = taken == text.len();
    assert_eq!(is_whole, !pipeline.is_broken(), "{taken} bytes of {text:?}");
    pipeline
}

fn begun(text: &str, piece: usize) -> Option<u64> {
    fed(text, piece).begun()
}

#[test]
fn requests_are_counted_from_their_first_byte_however_they_are_cut() {
    for (text, many) in [
        (String::new(), 0),
        ("\r\n\r\n".to_owned(), 0),
        ("G".to_owned(), 1),
        (GET.to_owned(), 1),
        (format!("{GET}\r\n"), 1),
        (format!("{GET}G"), 2),
        (GET.repeat(50), 50),
        (POST.to_owned(), 1),
        (format!("{POST}{GET}{POST}\r\n{GET}"), 4),
        (CHUNKS.repeat(3), 3),
        (format!("{CHUNKS}{GET}{CHUNKS}G"), 4),
    ] {
        for piece in [1, 2, 3, 7, 50, 100_000] {
            assert_eq!(begun(&text, piece), Some(many), "{text:?} in {piece}s");
        }
    }
}

/// Only the beginning of a line is kept, so a number that is not all in it is not known.
#[test]
fn a_number_that_is_longer_than_what_is_kept_is_not_guessed() {
    let zeros = "0".repeat(LONGEST_LINE);
    let length = format!("POST / HTTP/1.1\r\nContent-Length: {zeros}7\r\n\r\n1234567{GET}");
    let chunk = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{zeros}7\r\n1234567\r\n");
    for piece in [1, 30, 1000] {
        assert_eq!(begun(&length, piece), None, "in {piece}s");
        assert!(fed(&chunk, piece).is_broken(), "in {piece}s");
    }
}

#[test]
fn what_cannot_be_followed_is_given_up_on() {
    for line in [
        "Transfer-Encoding: gzip, chunked",
        "Content-Length: 1, 1",
        "Content-Length: -1",
    ] {
        let text = format!("POST / HTTP/1.1\r\n{line}\r\n\r\n{GET}");
        for piece in [1, 9, 1000] {
            assert_eq!(begun(&text, piece), None, "{line}");
        }
    }
}

/// The number of bytes that may be looked at, fed in pieces of this length.
fn taken(text: &str, piece: usize) -> usize {
    let mut pipeline = Pipeline::new();
    text.as_bytes()
        .chunks(piece)
        .map(|part| pipeline.feed(part))
        .sum()
}

#[test]
fn nothing_behind_a_line_without_a_carriage_return_is_taken() {
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (before, behind, in_body) in [
        ("", "\n", false),
        ("\r\n", "\n", false),
        (GET, "\n", false),
        ("GET / HTTP/1.1", "\n", false),
        ("GET / HTTP/1.1\r\n", "\n", false),
        ("GET / HTTP/1.1\r\nHost: a", "\nX: b\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\r\nX: b", "\n\r\n", false),
        (chunked, "\n1\r\n", true),
    ] {
        let text = [before, behind, GET].concat();
        for piece in [1, 2, 3, 1000] {
            assert_eq!(taken(&text, piece), before.len(), "{text:?} in {piece}s");
            assert_eq!(fed(&text, piece).misses_body(), in_body, "{text:?}");
            assert_eq!(fed(&text, piece).has_broken_head(), !in_body, "{text:?}");
        }
    }
    for chunks in [
        "1\nx",
        "1\r\nx\n",
        "1\r\nx\r\n0\n",
        "0\r\n\n",
        "0\r\nX: y\n",
        "1;x\n",
    ] {
        let text = [chunked, chunks, "\r\n\r\n", GET].concat();
        for piece in [1, 2, 3, 1000] {
            let last = chunked.len() + chunks.find("\n").expect("a line feed");
            assert!(taken(&text, piece) >= last, "{chunks:?} in {piece}s");
            assert!(
                taken(&text, piece) < chunked.len() + chunks.len(),
                "{chunks:?} in {piece}s"
            );
            assert!(fed(&text, piece).misses_body());
        }
    }
}

#[test]
fn nothing_behind_a_chunk_that_is_none_is_taken() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunk in [
        "z\r\n",
        "-1\r\na\r\n",
        "+1\r\na\r\n",
        "1 \r\na\r\n",
        " 1\r\na\r\n",
        "1\r\nab\r\n",
        "\r\n",
        ";x\r\n",
        "11111111111111111\r\n",
    ] {
        let text = format!("{head}{chunk}{GET}");
        for piece in [1, 9, 1000] {
            assert!(fed(&text, piece).is_broken(), "{chunk:?}");
            assert!(taken(&text, piece) <= text.len() - GET.len(), "{chunk:?}");
        }
    }
}

#[test]
fn a_body_is_missed_from_the_end_of_its_head_to_its_own() {
    for text in [POST, CHUNKS] {
        let head = text.find("\r\n\r\n").expect("a head") + 4;
        let end = if text == POST { head + 9 } else { text.len() };
        for length in 0..=end {
            let misses = fed(&text[..length], 7).misses_body();
            assert_eq!(
                misses,
                (head..end).contains(&length),
                "{length} bytes of {text:?}"
            );
        }
    }
}

#[test]
fn behind_a_request_that_wants_another_protocol_nothing_is_looked_at_until_its_answer() {
    let get = b"GET / HTTP/1.1\r\n\r\n";
    for head in [
        &b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nUPGRADE:h2c\r\nContent-Length: 4\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nupgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ] {
        for behind in [&b"\x81\n\n"[..], get] {
            let mut pipeline = Pipeline::new();
            assert_eq!(
                pipeline.feed(&[get, head, behind].concat()),
                get.len() + head.len()
            );
            assert_eq!(pipeline.feed(behind), 0);
            assert_eq!((pipeline.is_held(), pipeline.begun()), (true, Some(2)));
            assert!(!pipeline.misses_body() && !pipeline.is_broken());
            pipeline.resume();
            assert_eq!((pipeline.feed(get), pipeline.begun()), (get.len(), Some(3)));
            assert!(!pipeline.is_held(), "the wish was that of one request");
        }
    }
    let mut pipeline = Pipeline::new();
    pipeline.feed(b"GET / HTTP/1.1\r\nUser-Agent: upgrade:\r\nUpgrade-Insecure-Requests: 1\r\n\r\n");
    assert!(!pipeline.is_held());
}
