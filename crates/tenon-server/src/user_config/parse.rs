//! Files of user configuration: sections, keys, and values that are text, whole numbers, yes or no, or lists of these.

use serde_json::{Map, Value};

/// A value as it stands in a file, before references are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    /// Text without quotes: it may be a reference, a number, or yes or no.
    Bare(String),
    /// Text in quotes: it is that text, with references to variables replaced.
    Quoted(String),
    /// Several, separated by commas.
    List(Vec<Raw>),
}

/// A line that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Its number, from 1.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) what: String,
}

/// A key with the sections it is in, its value, and the line it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The sections, the outermost first, and then the key.
    pub(super) path: Vec<String>,
    /// The value; none for a section by itself.
    pub(super) value: Option<Raw>,
    /// The line, from 1.
    pub(super) line: usize,
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Mistake> {
    let mut entries = Vec::new();
    let mut sections: Vec<String> = Vec::new();
    let mut lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
    while let Some((line, written)) = lines.next() {
        let mistake = |what: String| Mistake { line, what };
        let content = written.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if content.starts_with('[') {
            let (depth, name) = section(content).ok_or_else(|| mistake(format!("'{content}' is no [section]")))?;
            if depth > sections.len() + 1 {
                return Err(mistake(format!(
                    "'{content}' is in no section of {} brackets",
                    depth - 1
                )));
            }
            sections.truncate(depth - 1);
            sections.push(name.to_owned());
            let path = sections.clone();
            entries.push(Entry {
                path,
                value: None,
                line,
            });
            continue;
        }
        let (key, value) = content
            .split_once('=')
            .ok_or_else(|| mistake(format!("'{content}' is neither a [section] nor a key = value")))?;
        let key = unquoted(key.trim());
        if key.is_empty() {
            return Err(mistake("a key is missing before '='".to_owned()));
        }
        let value = match long_text_mark(value.trim()) {
            Some((mark, begin)) => Raw::Quoted(
                long_text(mark, begin, &mut lines)
                    .ok_or_else(|| mistake(format!("the text that begins here has no end: {mark} is missing")))?,
            ),
            None => value_of(value.trim()).map_err(mistake)?,
        };
        let mut path = sections.clone();
        path.push(key.to_owned());
        let value = Some(value);
        entries.push(Entry { path, value, line });
    }
    Ok(entries)
}

fn section(content: &str) -> Option<(usize, &str)> {
    let depth = content.chars().take_while(|c| *c == '[').count();
    let end = "]".repeat(depth);
    let (name, rest) = content[depth..].split_once(&end)?;
    let rest = rest.trim();
    let name = unquoted(name.trim());
    let is_right = !name.is_empty() && !name.contains(['[', ']']) && (rest.is_empty() || rest.starts_with(['#', ';']));
    is_right.then_some((depth, name))
}

fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// The mark of a text that may have several lines, and what follows it.
fn long_text_mark(value: &str) -> Option<(&'static str, &str)> {
    ["\"\"\"", "'''"]
        .into_iter()
        .find_map(|mark| value.strip_prefix(mark).map(|begin| (mark, begin)))
}

fn long_text<'a>(mark: &str, begin: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Option<String> {
    if let Some((text, _)) = begin.split_once(mark) {
        return Some(text.to_owned());
    }
    let mut text = begin.to_owned();
    for (_, line) in lines {
        text.push('\n');
        if let Some((last, _)) = line.split_once(mark) {
            text.push_str(last);
            return Some(text);
        }
        text.push_str(line);
    }
    None
}

/// A value, or several that are separated by commas.
fn value_of(text: &str) -> Result<Raw, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut is_list = false;
    loop {
        let (part, after) = next_part(rest)?;
        parts.extend(part);
        let Some(after) = after else { break };
        is_list = true;
        rest = after.trim_start();
        if rest.is_empty() || is_comment(rest) {
            break;
        }
    }
    if is_list {
        return Ok(Raw::List(parts));
    }
    Ok(parts.pop().unwrap_or(Raw::Bare(String::new())))
}

/// The next part of a list, and what comes after the comma if there is one.
fn next_part(text: &str) -> Result<(Option<Raw>, Option<&str>), String> {
    for quote in ['"', '\''] {
        let Some(begin) = text.strip_prefix(quote) else {
            continue;
        };
        let (inner, after) = begin
            .split_once(quote)
            .ok_or_else(|| format!("the text in quotes has no end: {quote} is missing"))?;
        let after = after.trim_start();
        let quoted = Some(Raw::Quoted(inner.to_owned()));
        return match after.strip_prefix(',') {
            Some(after) => Ok((quoted, Some(after))),
            None if after.is_empty() || is_comment(after) => Ok((quoted, None)),
            None => Err(format!("'{after}' after a text in quotes")),
        };
    }
    let end = comment_start(text);
    let bare = &text[..end];
    let (part, after) = match bare.split_once(',') {
        Some((part, _)) => (part, Some(&text[part.len() + 1..])),
        None => (bare, None),
    };
    let part = part.trim();
    let raw = (!part.is_empty()).then(|| Raw::Bare(part.to_owned()));
    Ok((raw, after))
}

fn is_comment(text: &str) -> bool {
    text.starts_with(['#', ';'])
}

/// Where the comment at the end of a value begins: at a '#' after white space.
fn comment_start(text: &str) -> usize {
    let places = text.match_indices('#');
    let mut ends = places.map(|(place, _)| place);
    let is_after_space = |place: &usize| text[..*place].ends_with(char::is_whitespace);
    ends.find(is_after_space).unwrap_or(text.len())
}

/// Replaces references.
pub(super) trait References {
    /// The value of a variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// The value of a secret of the cluster.
    fn secret(&self, name: &str) -> Option<String>;
}

/// What begins a value that is a secret of the cluster.
const SECRET: &str = "secret:";

/// Whether a value names a secret of the cluster.
pub(super) fn needs_secrets(value: &Raw) -> bool {
    match value {
        Raw::Bare(text) | Raw::Quoted(text) => text.starts_with(SECRET),
        Raw::List(values) => values.iter().any(needs_secrets),
    }
}

/// All sections and keys with their values, references replaced.
pub(super) fn resolve(entries: &[Entry], references: &dyn References) -> Result<Map<String, Value>, Mistake> {
    let mut file = Map::new();
    for Entry { path, value, line } in entries {
        let mistake = |what: String| Mistake { line: *line, what };
        let Some((key, sections)) = path.split_last() else {
            continue;
        };
        let mut place = &mut file;
        for section in sections {
            let inner = place
                .entry(section.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            place = inner
                .as_object_mut()
                .ok_or_else(|| mistake(format!("'{section}' is a key and a section")))?;
        }
        match value {
            None => {
                place.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
            }
            Some(raw) => {
                let value = value_with(raw, references).map_err(mistake)?;
                if place.insert(key.clone(), value).is_some() {
                    return Err(mistake(format!("'{key}' is there twice")));
                }
            }
        }
    }
    Ok(file)
}

fn value_with(raw: &Raw, references: &dyn References) -> Result<Value, String> {
    match raw {
        Raw::List(values) => {
            let values: Result<Vec<Value>, String> = values.iter().map(|value| value_with(value, references)).collect();
            values.map(Value::Array)
        }
        Raw::Bare(text) | Raw::Quoted(text) => {
            if let Some(name) = text.strip_prefix(SECRET).filter(|name| !name.is_empty()) {
                let secret = references.secret(name);
                return secret
                    .map(Value::String)
                    .ok_or_else(|| format!("the cluster has no secret '{name}'"));
            }
            let text = interpolated(text, references)?;
            Ok(match raw {
                Raw::Bare(_) => typed(text),
                _ => Value::String(text),
            })
        }
    }
}

/// A text with its variables replaced: `${NAME}` anywhere, `$NAME` where it is the whole text.
fn interpolated(text: &str, references: &dyn References) -> Result<String, String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let variable = |name: &str| {
        let value = references.variable(name);
        value.ok_or_else(|| format!("the environment has no variable '{name}'"))
    };
    if let Some(name) = text.strip_prefix('$').filter(|name| is_name(name)) {
        return variable(name);
    }
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        if let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_name(name)) {
            result.push_str(&variable(name)?);
            rest = after;
        } else {
            result.push_str("${");
            rest = after;
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// A text as what it looks like: a whole number, yes or no, or text.
fn typed(text: String) -> Value {
    match text.as_str() {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let is_number = !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit())
        // 007 and +49 are names or numbers of telephones.
        && (digits == "0" || !digits.starts_with('0'));
    match text.parse::<i64>() {
        Ok(number) if is_number => Value::from(number),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Known;

    impl References for Known {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "PORT").then(|| "8080".to_owned())
        }

        fn secret(&self, name: &str) -> Option<String> {
            (name == "db").then(|| "12".to_owned())
        }
    }

    fn read(text: &str) -> Result<Value, Mistake> {
        resolve(&parse(text)?, &Known).map(Value::Object)
    }

    #[test]
    fn values_are_what_they_look_like() {
        let text = "\u{feff}# about\nroot = 1\n[server]\nport=$PORT\nhost = example.com:${PORT} # there\nurl=http://a/#b\n\
            quoted = \"8080\" ; why\nyes = True\nno=false\nzip = 007\nnegative = -5\nprice = pa$word\nempty =\n\
            list = a, 2, \"b, c\", false\none = x,\nkey with space = 1.50\npassword = secret:db\n\
            long = \"\"\"first\n second\"\"\"\n[other]\n[[inner]]\nx = '$PORT'\n";
        let expected = json!({
            "root": 1,
            "server": {
                "port": 8080, "host": "example.com:8080", "url": "http://a/#b", "quoted": "8080", "yes": true, "no": false,
                "zip": "007", "negative": -5, "price": "pa$word", "empty": "", "list": ["a", 2, "b, c", false],
                "one": ["x"], "key with space": "1.50", "password": "12", "long": "first\n second",
            },
            "other": {"inner": {"x": "8080"}},
        });
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn mistakes_have_their_line() {
        let cases = [
            ("[a\nx=1", 1, "'[a' is no [section]"),
            ("x", 1, "'x' is neither a [section] nor a key = value"),
            ("[a]\n=1", 2, "a key is missing before '='"),
            ("[a]\n\nx=1\nx=2", 4, "'x' is there twice"),
            ("x=1\n[x]\ny=1", 3, "'x' is a key and a section"),
            ("x=\"1", 1, "the text in quotes has no end: \" is missing"),
            ("x=\"1\" 2", 1, "'2' after a text in quotes"),
            (
                "a=1\nx='''1\n2",
                2,
                "the text that begins here has no end: ''' is missing",
            ),
            ("x=$MISSING", 1, "the environment has no variable 'MISSING'"),
            ("x=secret:gone", 1, "the cluster has no secret 'gone'"),
            ("[[x]]", 1, "'[[x]]' is in no section of 1 brackets"),
        ];
        for (text, line, what) in cases {
            let what = what.to_owned();
            assert_eq!(read(text), Err(Mistake { line, what }), "{text}");
        }
    }
}
