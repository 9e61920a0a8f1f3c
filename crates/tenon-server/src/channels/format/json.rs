//! Checks that a text is JSON (RFC 8259), and JSON that every reader understands in the same way: names are unique within an
//! object, numbers fit a double, strings are Unicode, elements are not nested too deeply.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

use super::{Wrong, place_of};

/// From how many names on an object's are kept in a set.
const NAMES_IN_LIST_MAX: usize = 16;

/// From how many digits on a number may be more than a double holds.
const DIGITS_SAFE: usize = 300;

/// Checks a body. `depth_max`: how deep its elements may be nested.
pub(super) fn check(body: &[u8], depth_max: usize) -> Result<(), Wrong> {
    match std::str::from_utf8(body) {
        Ok(text) => Checker::new(text, depth_max).run(),
        Err(error) => {
            // What stands before it is text, so the element is found by reading up to it.
            let at = error.valid_up_to();
            let text = std::str::from_utf8(&body[..at]).unwrap_or_default();
            let mut checker = Checker::new(text, depth_max);
            match checker.run() {
                Err(wrong) if checker.at < at => Err(wrong),
                _ => Err(checker.wrong_element(format!("the byte 0x{:02x} is no UTF-8", body[at]))),
            }
        }
    }
}

struct Checker<'t> {
    text: &'t str,
    at: usize,
    depth_max: usize,
    frames: Vec<Frame<'t>>,
    /// The names so far of all objects that are not closed yet, one object's behind the other's.
    names: Vec<Cow<'t, str>>,
}

/// An object or an array that is not closed yet.
enum Frame<'t> {
    Object {
        name: Cow<'t, str>,
        /// Where its names begin among those of all objects.
        names_from: usize,
        /// All its names, once they are many.
        many: Option<HashSet<Cow<'t, str>>>,
    },
    Array {
        index: usize,
    },
}

type Checked<T = ()> = Result<T, Wrong>;

impl<'t> Checker<'t> {
    fn new(text: &'t str, depth_max: usize) -> Self {
        Self {
            text,
            at: 0,
            depth_max,
            frames: Vec::new(),
            names: Vec::new(),
        }
    }

    fn run(&mut self) -> Checked {
        loop {
            let opened = self.value()?;
            if !opened && !self.go_on()? {
                break;
            }
        }
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong_text("more text after the end of the value")),
        }
    }

    /// Reads a value, or the beginning of one that is not empty: then another value comes next.
    fn value(&mut self) -> Checked<bool> {
        match self.peek() {
            Some(b'{') => {
                self.open(Frame::Object {
                    name: Cow::Borrowed(""),
                    names_from: self.names.len(),
                    many: None,
                })?;
                if self.peek() == Some(b'}') {
                    self.close();
                    return Ok(false);
                }
                self.name()?;
                Ok(true)
            }
            Some(b'[') => {
                self.open(Frame::Array { index: 0 })?;
                if self.peek() == Some(b']') {
                    self.close();
                    return Ok(false);
                }
                Ok(true)
            }
            Some(b'"') => self.string().map(|_| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(_) => self.word().map(|()| false),
            None => Err(self.wrong_text("the text ends where a value is expected")),
        }
    }

    /// After a value: whether another one comes.
    fn go_on(&mut self) -> Checked<bool> {
        loop {
            let Some(frame) = self.frames.last_mut() else {
                return Ok(false);
            };
            let (is_object, end) = match frame {
                Frame::Object { .. } => (true, b'}'),
                Frame::Array { .. } => (false, b']'),
            };
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if is_object {
                        self.name()?;
                    } else if let Some(Frame::Array { index }) = self.frames.last_mut() {
                        *index += 1;
                    }
                    return Ok(true);
                }
                Some(byte) if byte == end => self.close(),
                Some(_) => return Err(self.wrong_text(&format!("',' or '{}' is expected", char::from(end)))),
                None => return Err(self.wrong_text("the text ends before the value does")),
            }
        }
    }

    fn open(&mut self, frame: Frame<'t>) -> Checked {
        if self.frames.len() >= self.depth_max {
            return Err(self.wrong_element(format!("elements are nested more than {} deep", self.depth_max)));
        }
        self.frames.push(frame);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        if let Some(Frame::Object { names_from, .. }) = self.frames.pop() {
            self.names.truncate(names_from);
        }
        self.at += 1;
    }

    /// The name of an object's element, and the colon behind it.
    fn name(&mut self) -> Checked {
        if self.peek() != Some(b'"') {
            return Err(self.wrong_text("the name of an element, in double quotes, is expected"));
        }
        let (quoted, has_escapes) = self.string()?;
        let new = if has_escapes {
            let unescaped = serde_json::from_str::<String>(quoted);
            Cow::Owned(unescaped.map_err(|error| self.wrong_text(&error.to_string()))?)
        } else {
            Cow::Borrowed(&quoted[1..quoted.len() - 1])
        };
        if !self.note(new) {
            return Err(self.wrong_element("the element is there twice".to_owned()));
        }
        if self.peek() != Some(b':') {
            return Err(self.wrong_text("':' is expected"));
        }
        self.at += 1;
        Ok(())
    }

    /// Notes the name of an element of the innermost object. False if it was there already.
    fn note(&mut self, new: Cow<'t, str>) -> bool {
        let Some(Frame::Object { name, names_from, many }) = self.frames.last_mut() else {
            return true;
        };
        name.clone_from(&new);
        let known = &self.names[*names_from..];
        if known.len() < NAMES_IN_LIST_MAX {
            let is_new = !known.contains(&new);
            self.names.push(new);
            return is_new;
        }
        many.get_or_insert_with(|| known.iter().cloned().collect()).insert(new)
    }

    /// A string with its quotes, and whether it has escapes.
    fn string(&mut self) -> Checked<(&'t str, bool)> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let mut has_escapes = false;
        self.at += 1;
        loop {
            let ends_run = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            let run = bytes[self.at..].iter().position(ends_run);
            self.at = run.map_or(bytes.len(), |run| self.at + run);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((&self.text[start..self.at], has_escapes));
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.wrong_text("a control character within a string")),
                None => return Err(self.wrong_text("the text ends within a string")),
            }
        }
    }

    fn escape(&mut self) -> Checked {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let first = self.unit()?;
                let is_pair = match first {
                    0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                        (0xdc00..=0xdfff).contains(&self.unit()?)
                    }
                    0xd800..=0xdfff => false,
                    _ => true,
                };
                if is_pair {
                    Ok(())
                } else {
                    Err(self.wrong_element("half of a surrogate pair is no character".to_owned()))
                }
            }
            _ => Err(self.wrong_text("an unknown escape within a string")),
        }
    }

    /// The number behind `\u`.
    fn unit(&mut self) -> Checked<u32> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let number = digits.and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let number = number.ok_or_else(|| self.wrong_text("four hexadecimal digits are expected after \\u"))?;
        self.at += 6;
        Ok(number)
    }

    fn number(&mut self) -> Checked {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        if bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut has_exponent = false;
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            has_exponent = true;
            self.at += 1;
            if let Some(b'+' | b'-') = bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        let number = &self.text[start..self.at];
        let may_be_large = has_exponent || number.len() > DIGITS_SAFE;
        if may_be_large && !number.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(self.wrong_element("the number is too large".to_owned()));
        }
        Ok(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Checked {
        let bytes = &self.text.as_bytes()[self.at..];
        let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.wrong_text("a digit is expected"));
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self) -> Checked {
        let rest = &self.text[self.at..];
        let word = ["true", "false", "null"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        let Some(word) = word else {
            return Err(self.wrong_text("a value is expected"));
        };
        self.at += word.len();
        Ok(())
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// The text can't be read from here on.
    fn wrong_text(&self, message: &str) -> Wrong {
        let place = place_of(self.text.as_bytes(), self.at);
        match self.path().as_str() {
            "/" => Wrong::new(place, message),
            path => Wrong::new(place, format!("{message}, in {path}")),
        }
    }

    /// An element is JSON, but not to be taken.
    fn wrong_element(&self, message: String) -> Wrong {
        Wrong::new(self.path(), message)
    }

    /// The element that is being read: `/lines[1]/quantity`.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            match frame {
                Frame::Object { name, .. } => {
                    path.push('/');
                    path.push_str(name);
                }
                Frame::Array { index } => {
                    if path.is_empty() {
                        path.push('/');
                    }
                    let _ = write!(path, "[{index}]");
                }
            }
            if path.len() > PATH_BYTES_MAX {
                path.truncate(path.floor_char_boundary(PATH_BYTES_MAX));
                path.push('…');
                break;
            }
        }
        if path.is_empty() { "/".to_owned() } else { path }
    }
}

/// How much of an element's path is told.
const PATH_BYTES_MAX: usize = 200;
