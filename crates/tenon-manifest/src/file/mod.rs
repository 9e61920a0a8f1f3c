//! Manifest files: which objects they hold, and where each field stands.
//!
//! Reading never fails: what is wrong with a file is kept in it, so that [`validate`](crate::validate) tells everything at once.

mod folder;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use tenon_model::{FieldProblem, ObjectKey, ObjectName};
use tenon_protocol::control::ManifestObject;

pub use folder::{FolderMark, mark_of_dir, read_dir, read_file};

use crate::field::FieldPath;
use crate::settings::Settings;
use crate::yaml::{self, Content, Entry, Node, Position};

/// A file with objects.
#[derive(Debug, Clone)]
pub struct ManifestFile {
    /// The file as messages name it.
    pub path: String,
    /// The name under which objects remember it: the path below `manifests/`; none for a file that owns nothing.
    pub owner: Option<String>,
    /// Its objects, in their order.
    pub objects: Vec<FileObject>,
    /// What is wrong with its form.
    pub problems: Vec<ManifestProblem>,
}

/// An object of a file.
#[derive(Debug, Clone)]
pub struct FileObject {
    /// Its kind and name.
    pub key: ObjectKey,
    /// Its fields as written, without the name.
    pub body: Value,
    /// Where it begins.
    pub position: Position,
    /// Where its kind is written.
    pub kind_position: Position,
    fields: BTreeMap<String, Position>,
}

/// What is wrong with a manifest, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestProblem {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The column, from 1; 0 for the file as a whole.
    pub column: usize,
    /// The object and the field, as in `rest-channel/users/security[0]`; empty if it is about neither.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for ManifestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl ManifestFile {
    /// Reads the objects of a text, YAML or JSON. `path` is what messages call it.
    pub fn parse(path: impl Into<String>, text: &str, settings: &Settings) -> Self {
        let mut file = Self::empty(path);
        match yaml::read(text, settings) {
            Ok(documents) => documents.iter().for_each(|document| file.add_document(document)),
            Err(problems) => {
                for problem in problems {
                    file.refuse(problem.position, "", problem.message);
                }
            }
        }
        file
    }

    fn empty(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            owner: None,
            objects: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The same file as one that owns its objects under a name.
    #[must_use]
    pub fn owned_by(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    fn refuse(&mut self, position: Position, field: &str, message: impl Into<String>) {
        self.problems.push(ManifestProblem {
            file: self.path.clone(),
            line: position.line,
            column: position.column,
            field: field.to_owned(),
            message: message.into(),
        });
    }

    fn add_document(&mut self, document: &Node) {
        match &document.content {
            Content::Scalar(Value::Null) => {}
            Content::Map(kinds) => kinds.iter().for_each(|kind| self.add_kind(kind)),
            _ => self.refuse(
                document.position,
                "",
                format!(
                    "a manifest maps kinds to lists of objects, as in 'job:' with '- name: …' below it; this is {}",
                    document.describe()
                ),
            ),
        }
    }

    fn add_kind(&mut self, entry: &Entry) {
        // A place for anchors that several objects share.
        if entry.key.starts_with("x-") {
            return;
        }
        match &entry.value.content {
            Content::Scalar(Value::Null) => {}
            Content::List(items) => {
                for item in items {
                    self.add_object(entry, item);
                }
            }
            _ => self.refuse(
                entry.value.position,
                &entry.key,
                format!(
                    "below a kind there is a list of objects, each beginning with '- name: …'; this is {}",
                    entry.value.describe()
                ),
            ),
        }
    }

    fn add_object(&mut self, kind: &Entry, item: &Node) {
        let Content::Map(entries) = &item.content else {
            let message = format!(
                "an object has fields, the first being 'name: …'; this is {}",
                item.describe()
            );
            self.refuse(item.position, &kind.key, message);
            return;
        };
        let Some(name) = entries.iter().find(|entry| entry.key == "name") else {
            self.refuse(item.position, &kind.key, "this object has no name; add 'name: …'");
            return;
        };
        let Content::Scalar(Value::String(text)) = &name.value.content else {
            let message = match &name.value.content {
                Content::Scalar(Value::Null) => "the name is empty".to_owned(),
                _ => format!(
                    "a name is a text, and this is {}; put it in quotes",
                    name.value.describe()
                ),
            };
            self.refuse(name.value.position, &format!("{}/name", kind.key), message);
            return;
        };
        match text.parse::<ObjectName>() {
            Ok(object_name) => {
                let mut fields = BTreeMap::new();
                let others: Vec<&Entry> = entries.iter().filter(|entry| entry.key != "name").collect();
                for entry in &others {
                    collect_positions(entry, &FieldPath::default(), &mut fields);
                }
                self.objects.push(FileObject {
                    key: ObjectKey::new(kind.key.clone(), object_name),
                    body: Value::Object(
                        others
                            .iter()
                            .map(|entry| (entry.key.clone(), entry.value.to_value()))
                            .collect(),
                    ),
                    position: item.position,
                    kind_position: kind.position,
                    fields,
                });
            }
            Err(error) => self.refuse(name.value.position, &format!("{}/name", kind.key), error.to_string()),
        }
    }

    /// The objects as they are sent to a server.
    pub fn manifest_objects(&self) -> impl Iterator<Item = ManifestObject> + '_ {
        self.objects.iter().map(|object| ManifestObject {
            kind: object.key.kind.clone(),
            name: object.key.name.clone(),
            body: object.body.clone(),
            manifest: self.owner.clone(),
        })
    }

    /// A problem of one of the file's objects, with its place.
    pub(crate) fn problem(&self, object: &FileObject, problem: FieldProblem) -> ManifestProblem {
        let position = object.position_of(&problem.field);
        ManifestProblem {
            file: self.path.clone(),
            line: position.line,
            column: position.column,
            field: object_field(&object.key, &problem.field),
            message: problem.message,
        }
    }
}

impl FileObject {
    /// Where a field stands, or the part of it that is written, or the object.
    pub fn position_of(&self, field: &str) -> Position {
        let mut field = field;
        loop {
            if let Some(position) = self.fields.get(field) {
                return *position;
            }
            match field.rfind(['.', '[']) {
                Some(end) => field = &field[..end],
                None => return self.position,
            }
        }
    }
}

fn collect_positions(entry: &Entry, parent: &FieldPath, fields: &mut BTreeMap<String, Position>) {
    fn walk(node: &Node, path: &FieldPath, fields: &mut BTreeMap<String, Position>) {
        match &node.content {
            Content::Map(entries) => entries.iter().for_each(|entry| collect_positions(entry, path, fields)),
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = path.index(index);
                    fields.insert(path.to_string(), item.position);
                    walk(item, &path, fields);
                }
            }
            Content::Scalar(_) => {}
        }
    }
    let path = parent.key(&entry.key);
    fields.insert(path.to_string(), entry.position);
    walk(&entry.value, &path, fields);
}

/// A field of an object as one text: `rest-channel/users/security[0]`.
pub(crate) fn object_field(key: &ObjectKey, field: &str) -> String {
    if field.is_empty() {
        key.to_string()
    } else {
        format!("{key}/{field}")
    }
}

/// A problem that a server found, with its place in these files. Its field is `kind/name/field`, as
/// [`ObjectProblem::to_field_problem`](crate::ObjectProblem::to_field_problem) writes it; what is in none of the files has no
/// place.
pub fn locate(files: &[ManifestFile], problem: &FieldProblem) -> ManifestProblem {
    let mut parts = problem.field.splitn(3, '/');
    let (kind, name, field) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    for file in files {
        let found = file
            .objects
            .iter()
            .find(|object| Some(object.key.kind.as_str()) == kind && Some(object.key.name.as_str()) == name);
        if let Some(object) = found {
            return file.problem(object, FieldProblem::new(field, problem.message.clone()));
        }
    }
    ManifestProblem {
        file: "cluster".to_owned(),
        line: 0,
        column: 0,
        field: problem.field.clone(),
        message: problem.message.clone(),
    }
}
