//! Conditions against states: what is done, what is answered instead.

use super::*;

fn read(pairs: &[(HeaderName, &str)]) -> Result<Preconditions, Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    Preconditions::read(&headers)
}

fn state() -> State {
    State {
        tag: EntityTag("\"now\"".to_owned()),
        changed_ms: Some(1_000_999),
    }
}

fn verdicts(pairs: &[(HeaderName, &str)]) -> (ConditionOutcome, ConditionOutcome) {
    let conditions = read(pairs).expect("good conditions");
    (conditions.judge(Some(&state())), conditions.judge(None))
}

#[test]
fn each_condition_says_what_the_rfc_says() {
    use ConditionOutcome::{Failed, Known, Met};
    for (name, value, of_state, of_nothing) in [
        (IF_MATCH, "\"now\"", Met, Failed),
        (IF_MATCH, "\"old\" , \"now\"", Met, Failed),
        (IF_MATCH, ",\"now\",,", Met, Failed),
        (IF_MATCH, "\"old\"", Failed, Failed),
        (IF_MATCH, "W/\"now\"", Failed, Failed),
        (IF_MATCH, "*", Met, Failed),
        (IF_NONE_MATCH, "\"now\"", Known, Met),
        (IF_NONE_MATCH, "W/\"now\"", Known, Met),
        (IF_NONE_MATCH, "\"a,b\", \"old\"", Met, Met),
        (IF_NONE_MATCH, "*", Known, Met),
        (IF_UNMODIFIED_SINCE, "Thu, 01 Jan 1970 00:16:40 GMT", Met, Failed),
        (
            IF_UNMODIFIED_SINCE,
            "Thu, 01 Jan 1970 00:16:39 GMT",
            Failed,
            Failed,
        ),
    ] {
        assert_eq!(
            verdicts(&[(name.clone(), value)]),
            (of_state, of_nothing),
            "{name}: {value}"
        );
    }
}

#[test]
fn if_match_counts_before_the_date_and_both_before_if_none_match() {
    let long_ago = (IF_UNMODIFIED_SINCE, "Thu, 01 Jan 1970 00:00:01 GMT");
    let (now, old) = ((IF_MATCH, "\"now\""), (IF_MATCH, "\"old\""));
    let known = (IF_NONE_MATCH, "\"now\"");
    assert_eq!(
        verdicts(&[now.clone(), long_ago.clone()]).0,
        ConditionOutcome::Met
    );
    assert_eq!(verdicts(&[now, known.clone()]).0, ConditionOutcome::Known);
    assert_eq!(verdicts(&[old, known.clone()]).0, ConditionOutcome::Failed);
    assert_eq!(verdicts(&[long_ago, known]).0, ConditionOutcome::Failed);
}

#[test]
fn a_date_that_is_not_known_meets_no_condition_about_it() {
    let unknown = State {
        changed_ms: None,
        ..state()
    };
    let conditions = read(&[(IF_UNMODIFIED_SINCE, "Fri, 27 Nov 2026 04:10:53 GMT")]).expect("a date");
    assert_eq!(conditions.judge(Some(&unknown)), ConditionOutcome::Failed);
}

#[test]
fn what_cannot_be_read_is_never_ignored() {
    for (name, value) in [
        (IF_MATCH, ""),
        (IF_MATCH, "now"),
        (IF_MATCH, "\"now"),
        (IF_MATCH, "\"a\"\"b\""),
        (IF_MATCH, "\"a b\""),
        (IF_MATCH, "w/\"a\""),
        (IF_NONE_MATCH, "*, \"a\""),
        (IF_NONE_MATCH, ","),
        (IF_UNMODIFIED_SINCE, "yesterday"),
        (IF_UNMODIFIED_SINCE, "2026-11-27T04:10:53Z"),
    ] {
        let refused = read(&[(name.clone(), value)]).expect_err(value);
        assert_eq!(refused.code(), "invalid_precondition", "{name}: {value}");
    }
    assert!(read(&[(IF_MATCH, "*"), (IF_MATCH, "\"a\"")]).is_err());
    assert!(read(&[(IF_MATCH, "\"b\""), (IF_MATCH, "\"now\"")]).is_ok());
    assert!(read(&[(IF_MATCH, &"\"a\",".repeat(MOST_TAGS + 1))]).is_err());
}

proptest::proptest! {
    /// A header of any bytes is read or refused, and every tag of a list that is written by the rules is found.
    #[test]
    fn any_header_is_read_or_refused(bytes in proptest::collection::vec(0x20_u8..=0xff, 0..80)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            for name in [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE] {
                let mut headers = HeaderMap::new();
                headers.insert(name, value.clone());
                if let Ok(conditions) = Preconditions::read(&headers) {
                    assert!(!conditions.is_empty(), "{value:?} was ignored");
                }
            }
        }
    }

    #[test]
    fn a_tag_is_found_wherever_it_stands(
        tags in proptest::collection::vec("[!#-~]{0,6}", 1..8),
        at in 0_usize..8,
    ) {
        let current = State {
            tag: EntityTag(format!("\"{}\"", tags[at % tags.len()])),
            changed_ms: None,
        };
        let list: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        let conditions = read(&[(IF_MATCH, &list.join(" ,"))]).expect("a list");
        assert_eq!(conditions.judge(Some(&current)), ConditionOutcome::Met);
    }
}
