//! Rust as trees of tokens: comments and the contents of strings are gone, brackets are closed. It must not
//! know any rule.
//!
//! A parser such as syn would do, but cargo shares its crates with the derive macros and would compile those,
//! and all that use them, once for `cargo build` and once more for `cargo test`.

/// One token, with the line on which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A name or a keyword. A raw name keeps its `r#`.
    Word(String),
    /// The two colons of a path.
    Colons,
    /// `->` or `=>`
    Arrow,
    Mark(char),
    /// A number, a string, a character or a lifetime.
    Literal,
    Group(Group),
}

/// What stands between brackets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    /// The opening bracket.
    pub(crate) bracket: char,
    pub(crate) inside: Vec<Token>,
    /// The line of the closing bracket.
    pub(crate) end: usize,
}

impl Token {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    pub(crate) fn group(&self, bracket: char) -> Option<&Group> {
        match &self.kind {
            Kind::Group(group) if group.bracket == bracket => Some(group),
            _ => None,
        }
    }
}

/// The tokens of a source file.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { rest: text, line: 1 };
    let (tokens, closing) = reader.list();
    assert_eq!(
        closing, None,
        "a bracket is closed that was never opened, line {}",
        reader.line
    );
    tokens
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// The tokens up to a closing bracket or the end, and that bracket.
    fn list(&mut self) -> (Vec<Token>, Option<char>) {
        let mut tokens = Vec::new();
        loop {
            self.skip_blank();
            let line = self.line;
            let kind = match self.rest.chars().next() {
                None => return (tokens, None),
                Some(closing @ (')' | ']' | '}')) => {
                    self.take(1);
                    return (tokens, Some(closing));
                }
                Some(bracket @ ('(' | '[' | '{')) => Kind::Group(self.group(bracket)),
                Some(first) => self.single(first),
            };
            tokens.push(Token { line, kind });
        }
    }

    fn group(&mut self, bracket: char) -> Group {
        self.take(1);
        let (inside, closing) = self.list();
        let expected = ")]}".chars().nth("([{".find(bracket).expect("a bracket"));
        assert_eq!(closing, expected, "the closing bracket in line {}", self.line);
        let end = self.line;
        Group { bracket, inside, end }
    }

    fn single(&mut self, first: char) -> Kind {
        if let Some(length) = string(self.rest).or_else(|| character(self.rest)) {
            self.take(length);
            Kind::Literal
        } else if first.is_ascii_digit() {
            let length = end_of(self.rest, |char| char.is_alphanumeric() || char == '_');
            self.take(length);
            Kind::Literal
        } else if first.is_alphabetic() || first == '_' {
            let raw = if self.rest.starts_with("r#") { 2 } else { 0 };
            let length = raw + end_of(&self.rest[raw..], |char| char.is_alphanumeric() || char == '_');
            Kind::Word(self.take(length).to_owned())
        } else if self.rest.starts_with("::") {
            self.take(2);
            Kind::Colons
        } else if self.rest.starts_with("->") || self.rest.starts_with("=>") {
            self.take(2);
            Kind::Arrow
        } else {
            self.take(first.len_utf8());
            Kind::Mark(first)
        }
    }

    fn skip_blank(&mut self) {
        loop {
            let length = match self.rest {
                text if text.starts_with("//") => end_of(text, |char| char != '\n'),
                text if text.starts_with("/*") => block_comment(text),
                text => end_of(text, char::is_whitespace),
            };
            if length == 0 {
                return;
            }
            self.take(length);
        }
    }

    fn take(&mut self, bytes: usize) -> &str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

/// Where the characters end, from the beginning on, that are such.
fn end_of(text: &str, is_such: impl Fn(char) -> bool) -> usize {
    text.find(|char| !is_such(char)).unwrap_or(text.len())
}

/// The length of a comment that begins here; comments may hold comments.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match text.get(at..at + 2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            _ => {
                at += text[at..]
                    .chars()
                    .next()
                    .expect("a comment that is closed")
                    .len_utf8()
            }
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The length of the string that begins here, with its prefix: `"…"`, `b"…"`, `r#"…"#`.
fn string(text: &str) -> Option<usize> {
    let prefix = end_of(text, |char| matches!(char, 'b' | 'c' | 'r'));
    let hashes = end_of(&text[prefix..], |char| char == '#');
    let begin = prefix + hashes;
    if prefix > 2 || !text[begin..].starts_with('"') || (hashes > 0 && !text[..prefix].ends_with('r')) {
        return None;
    }
    let inside = &text[begin + 1..];
    let length = if text[..prefix].ends_with('r') {
        let closing = format!("\"{}", "#".repeat(hashes));
        inside.find(&closing).expect("a string that is closed") + closing.len()
    } else {
        escaped(inside, '"')
    };
    Some(begin + 1 + length)
}

/// The length of the character or lifetime that begins here: `'a'`, `b'\''`, `'static`.
fn character(text: &str) -> Option<usize> {
    let prefix = usize::from(text.starts_with("b'"));
    let inside = text[prefix..].strip_prefix('\'')?;
    let mut chars = inside.chars();
    let (first, second) = (chars.next()?, chars.next());
    let is_lifetime = first != '\\' && second != Some('\'');
    let length = if is_lifetime {
        end_of(inside, |char| char.is_alphanumeric() || char == '_')
    } else {
        escaped(inside, '\'')
    };
    Some(prefix + 1 + length)
}

/// The length up to the closing quote and with it; a backslash hides what follows it.
fn escaped(inside: &str, quote: char) -> usize {
    let mut hidden = false;
    let end = inside.char_indices().find(|(_, char)| {
        let closes = *char == quote && !hidden;
        hidden = *char == '\\' && !hidden;
        closes
    });
    end.expect("a literal that is closed").0 + 1
}
