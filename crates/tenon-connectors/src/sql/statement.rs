//! Named parameters (`:name`) of a statement, found and replaced by the database's own numbered ones.

/// Which database's quoting rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `$1`; dollar quotes, `E'…'` with backslashes, nested comments.
    Postgres,
    /// `?1`; backticks and brackets quote names.
    Sqlite,
}

/// A statement with numbered parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    /// The statement as the database reads it.
    pub text: String,
    /// The names of the parameters in the order of their numbers; each once.
    pub names: Vec<String>,
}

/// Replaces each `:name` outside quotes and comments. `::` is a cast, and a colon after a name, a number or a bracket
/// belongs to a slice, as in `a[lo:hi]`.
pub(super) fn number(statement: &str, dialect: Dialect) -> Numbered {
    let mut scanner = Scanner {
        text: statement,
        at: 0,
        dialect,
    };
    let mut numbered = Numbered {
        text: String::with_capacity(statement.len() + 8),
        names: Vec::new(),
    };
    while scanner.at < statement.len() {
        let start = scanner.at;
        if let Some(name) = scanner.parameter() {
            let index = numbered
                .names
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| {
                    numbered.names.push(name.to_owned());
                    numbered.names.len() - 1
                });
            numbered.text.push(if dialect == Dialect::Postgres { '$' } else { '?' });
            numbered.text.push_str(&(index + 1).to_string());
        } else {
            scanner.skip();
            numbered.text.push_str(&statement[start..scanner.at]);
        }
    }
    numbered
}

/// The first word of a statement in lower case, behind comments and opening parentheses.
pub(super) fn first_word(statement: &str, dialect: Dialect) -> String {
    let mut scanner = Scanner {
        text: statement,
        at: 0,
        dialect,
    };
    while scanner.at < statement.len() {
        let start = scanner.at;
        scanner.skip();
        let piece = &statement[start..scanner.at];
        if piece.starts_with(is_word) {
            return piece.to_lowercase();
        }
    }
    String::new()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn previous(&self) -> Option<char> {
        self.text[..self.at].chars().next_back()
    }

    /// The name of the parameter that begins here, with the scanner moved behind it.
    fn parameter(&mut self) -> Option<&'a str> {
        let name = self.rest().strip_prefix(':')?;
        let belongs_to_slice = |c: char| is_word(c) || matches!(c, ')' | ']' | '"' | ':');
        if self.previous().is_some_and(belongs_to_slice) || !name.starts_with(|c: char| is_word(c) && !c.is_numeric()) {
            return None;
        }
        let length = name.find(|c| !is_word(c)).unwrap_or(name.len());
        self.at += 1 + length;
        Some(&name[..length])
    }

    /// Moves behind whatever begins here: a quoted text, a comment, a word, or one character.
    fn skip(&mut self) {
        let rest = self.rest();
        let is_postgres = self.dialect == Dialect::Postgres;
        let length = match rest.as_bytes().first() {
            Some(b'\'') => quoted(rest, '\'', false),
            Some(b'"') => quoted(rest, '"', false),
            Some(b'`') if !is_postgres => quoted(rest, '`', false),
            Some(b'[') if !is_postgres => rest.find(']').map_or(rest.len(), |end| end + 1),
            Some(b'E' | b'e') if is_postgres && rest[1..].starts_with('\'') => 1 + quoted(&rest[1..], '\'', true),
            Some(b'$') if is_postgres => dollar_quoted(rest),
            Some(b'-') if rest.starts_with("--") => rest.find('\n').map_or(rest.len(), |end| end + 1),
            Some(b'/') if rest.starts_with("/*") => block_comment(rest, is_postgres),
            Some(b':') if rest.starts_with("::") => 2,
            _ => 0,
        };
        self.at += if length > 0 { length } else { word_or_character(rest) };
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A word is skipped whole, so that the `E` at its end is not taken for the beginning of `E'…'`.
fn word_or_character(rest: &str) -> usize {
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    if word > 0 {
        word
    } else {
        rest.chars().next().map_or(0, char::len_utf8)
    }
}

/// The length of a quoted text with its quotes; a doubled quote is part of it. Without an end it takes all the rest.
fn quoted(rest: &str, quote: char, has_escapes: bool) -> usize {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if has_escapes && c == '\\' {
            characters.next();
        } else if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return at + quote.len_utf8();
        }
    }
    rest.len()
}

/// The length of `$$…$$` or `$tag$…$tag$`; 0 if a dollar sign begins none.
fn dollar_quoted(rest: &str) -> usize {
    let Some(end) = rest[1..].find('$').map(|at| at + 2) else {
        return 0;
    };
    let tag = &rest[1..end - 1];
    if !tag.chars().all(is_word) || tag.starts_with(|c: char| c.is_numeric()) {
        return 0;
    }
    let delimiter = &rest[..end];
    rest[end..]
        .find(delimiter)
        .map_or(rest.len(), |at| end + at + delimiter.len())
}

fn block_comment(rest: &str, nests: bool) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") && (nests || depth == 0) {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}
