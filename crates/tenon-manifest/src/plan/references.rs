//! References between objects: none may lead nowhere after a change.

use std::cell::LazyCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;
use tenon_model::{Kind, ObjectKey, ObjectName};

use super::{ObjectProblem, Objects, PlanContext};
use crate::field::{patterns, texts_at};
use crate::resolve::resolve_object;
use crate::suggest::did_you_mean;

/// The references of the objects that are put, and the objects that go.
#[derive(Debug, Default)]
pub(super) struct References {
    from: Vec<Reference>,
    removed: HashSet<ObjectKey>,
}

#[derive(Debug)]
struct Reference {
    from: ObjectKey,
    field: String,
    kinds: Vec<String>,
    name: String,
    /// Whether the object that refers is written now.
    is_new: bool,
}

impl Reference {
    /// The objects that it may mean.
    fn keys(&self) -> impl Iterator<Item = ObjectKey> {
        let name: Option<ObjectName> = self.name.parse().ok();
        let kinds = self.kinds.iter().zip(std::iter::repeat(name));
        kinds.filter_map(|(kind, name)| Some(ObjectKey::new(kind.clone(), name?)))
    }
}

/// Fields with the names that they hold.
pub(super) fn named(resolved: &Value, fields: &[String]) -> Vec<(String, String)> {
    texts_at(resolved, &patterns(fields))
        .into_iter()
        .map(|(path, text)| (path.to_string(), text))
        .collect()
}

impl References {
    pub(super) fn add(&mut self, kind: &Kind, from: &ObjectKey, resolved: &Value, is_new: bool) {
        for (marked, kinds) in &kind.reference_fields {
            for (field, name) in named(resolved, std::slice::from_ref(marked)) {
                self.from.push(Reference {
                    from: from.clone(),
                    field,
                    kinds: kinds.clone(),
                    name,
                    is_new,
                });
            }
        }
    }

    pub(super) fn remove(&mut self, key: ObjectKey) {
        self.removed.insert(key);
    }

    /// References that lead nowhere, and deletions of what others refer to.
    pub(super) fn broken(
        &mut self,
        context: &PlanContext<'_>,
        current: &dyn Objects,
        wanted: &HashSet<ObjectKey>,
    ) -> Vec<ObjectProblem> {
        if !self.removed.is_empty() {
            self.add_others(context, current, wanted);
        }
        let stays = |key: &ObjectKey| !self.removed.contains(key) && current.get(key).is_some();
        let exists = |reference: &Reference| reference.keys().any(|key| wanted.contains(&key) || stays(&key));
        let lost = self.from.iter().filter(|reference| !exists(reference));
        // Only for suggestions: they are looked for among all names.
        let names = LazyCell::new(|| names_of(current, &self.removed, wanted));
        lost.filter_map(|reference| problem(reference, &self.removed, &names))
            .collect()
    }

    /// The references of objects that stay as they are.
    fn add_others(&mut self, context: &PlanContext<'_>, current: &dyn Objects, wanted: &HashSet<ObjectKey>) {
        for object in current.all() {
            let key = object.key();
            if self.removed.contains(&key) || wanted.contains(&key) {
                continue;
            }
            if let Some(kind) = context
                .catalog
                .get(&key.kind)
                .filter(|kind| !kind.reference_fields.is_empty())
            {
                let resolved = resolve_object(kind, &object.body, context.lookup, context.sealer);
                self.add(kind, &key, resolved.as_ref().unwrap_or(&object.body), false);
            }
        }
        self.from
            .sort_by(|one, other| (&one.from, &one.field).cmp(&(&other.from, &other.field)));
    }
}

/// Names by kind.
type Names<'a> = HashMap<&'a str, BTreeSet<&'a str>>;

/// The names of the objects that there will be.
fn names_of<'a>(current: &'a dyn Objects, removed: &HashSet<ObjectKey>, wanted: &'a HashSet<ObjectKey>) -> Names<'a> {
    let mut names = Names::new();
    for object in current.all().filter(|object| !removed.contains(&object.key())) {
        names.entry(&object.kind).or_default().insert(object.name.as_str());
    }
    for key in wanted {
        names.entry(&key.kind).or_default().insert(key.name.as_str());
    }
    names
}

fn problem<'a>(
    reference: &Reference,
    removed: &HashSet<ObjectKey>,
    names: &LazyCell<Names<'a>, impl FnOnce() -> Names<'a>>,
) -> Option<ObjectProblem> {
    if let Some(gone) = reference.keys().find(|key| removed.contains(key)) {
        return Some(ObjectProblem {
            key: gone,
            field: String::new(),
            message: format!("it can't go: {} refers to it in '{}'", reference.from, reference.field),
        });
    }
    // What was broken before is not this change's fault.
    reference.is_new.then(|| {
        let candidates = reference
            .kinds
            .iter()
            .filter_map(|kind| names.get(kind.as_str()))
            .flatten();
        ObjectProblem {
            key: reference.from.clone(),
            field: reference.field.clone(),
            message: format!(
                "there is no {} called '{}'{}",
                reference.kinds.join(" or "),
                reference.name,
                did_you_mean(&reference.name, candidates.copied())
            ),
        }
    })
}
