//! What applying objects would change, and the changes as the store takes them.
//!
//! A plan is a pure function of what the cluster has and what is wanted. Writing it is the caller's: each change names the
//! version that it was planned against, so that a plan made from old objects is refused by the store and made anew.

mod difference;
mod references;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;

use serde_json::Value;
use tenon_model::{Catalog, FieldProblem, Kind, KindGroup, Object, ObjectKey};
use tenon_protocol::control::{Action, ApplyRequest, FieldChange, ManifestObject, ObjectChange, Plan};
use tenon_store::ObjectChange as StoreChange;

use crate::field::text_at;
use crate::file::object_field;
use crate::resolve::{Lookup, resolve_object};
use crate::secrets::{SecretSealer, seal};
use crate::validate::{check_fields, unknown_kind};
use difference::field_changes;
use references::References;

/// What a plan is made with.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    /// The kinds there are.
    pub catalog: &'a Catalog,
    /// The cluster's key.
    pub sealer: &'a dyn SecretSealer,
    /// Where references find their values.
    pub lookup: &'a dyn Lookup,
    /// The services that are deployed; none if that is not known, and then there are no warnings about services.
    pub services: Option<&'a BTreeSet<String>>,
}

impl fmt::Debug for PlanContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanContext").finish_non_exhaustive()
    }
}

/// The objects that there are. A plan for a few of them looks at few: there may be tens of thousands.
pub trait Objects {
    /// The object of this key.
    fn get(&self, key: &ObjectKey) -> Option<&Object>;

    /// All of them, in no particular order.
    fn all(&self) -> Box<dyn Iterator<Item = &Object> + '_>;
}

impl<O: Borrow<Object>, S: BuildHasher> Objects for HashMap<ObjectKey, O, S> {
    fn get(&self, key: &ObjectKey) -> Option<&Object> {
        HashMap::get(self, key).map(Borrow::borrow)
    }

    fn all(&self) -> Box<dyn Iterator<Item = &Object> + '_> {
        Box::new(self.values().map(Borrow::borrow))
    }
}

/// A plan and what to write for it.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// What changes, as a user sees it.
    pub plan: Plan,
    /// The same for the store; nothing if nothing changes.
    pub changes: Vec<StoreChange>,
}

/// What is wrong with an object that was to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectProblem {
    /// The object.
    pub key: ObjectKey,
    /// The field; empty for the object as a whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl ObjectProblem {
    /// The problem as the control API tells it; [`locate`](crate::locate) finds its place in files again.
    pub fn to_field_problem(&self) -> FieldProblem {
        FieldProblem::new(object_field(&self.key, &self.field), self.message.clone())
    }
}

impl fmt::Display for ObjectProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_field_problem().fmt(f)
    }
}

/// What applying the request to the current objects changes.
pub fn plan(
    context: PlanContext<'_>,
    current: &dyn Objects,
    request: &ApplyRequest,
) -> Result<Planned, Vec<ObjectProblem>> {
    let mut planner = Planner::new(context, current);
    for wanted in &request.objects {
        planner.put(wanted);
    }
    if request.prune {
        let owners: HashSet<&str> = request.prune_manifests.iter().map(String::as_str).collect();
        for object in current.all() {
            let owner = object.manifest.as_deref();
            if owners.is_empty() || owner.is_some_and(|owner| owners.contains(owner)) {
                planner.delete(object);
            }
        }
    }
    planner.finish()
}

/// What deleting one object changes: an error if others refer to it.
pub fn plan_delete(
    context: PlanContext<'_>,
    current: &dyn Objects,
    key: &ObjectKey,
) -> Result<Planned, Vec<ObjectProblem>> {
    let mut planner = Planner::new(context, current);
    match current.get(key) {
        Some(object) => planner.delete(object),
        None => planner.refuse(key, FieldProblem::new("", "there is no such object")),
    }
    planner.finish()
}

/// The order of kinds for people: who may call, what is called, what calls, and when.
pub(crate) fn rank(catalog: &Catalog, kind: &str) -> u8 {
    match catalog.get(kind).map(|kind| kind.group) {
        Some(KindGroup::Security) => 0,
        Some(KindGroup::Outgoing) => 1,
        Some(KindGroup::Channel) => 2,
        Some(KindGroup::Schedule) => 3,
        Some(KindGroup::LoadBalancer) => 4,
        None => 5,
    }
}

struct Planner<'a> {
    context: PlanContext<'a>,
    current: &'a dyn Objects,
    wanted: HashSet<ObjectKey>,
    references: References,
    planned: Planned,
    problems: Vec<ObjectProblem>,
}

impl<'a> Planner<'a> {
    fn new(context: PlanContext<'a>, current: &'a dyn Objects) -> Self {
        Self {
            context,
            current,
            wanted: HashSet::new(),
            references: References::default(),
            planned: Planned::default(),
            problems: Vec::new(),
        }
    }

    fn refuse(&mut self, key: &ObjectKey, problem: FieldProblem) {
        self.problems.push(ObjectProblem {
            key: key.clone(),
            field: problem.field,
            message: problem.message,
        });
    }

    fn put(&mut self, wanted: &ManifestObject) {
        let key = ObjectKey::new(wanted.kind.clone(), wanted.name.clone());
        if !self.wanted.insert(key.clone()) {
            self.refuse(&key, FieldProblem::new("", "this object is in the request twice"));
            return;
        }
        let Some(kind) = self.context.catalog.get(&wanted.kind) else {
            let message = unknown_kind(&wanted.kind, self.context.catalog);
            self.refuse(&key, FieldProblem::new("", message));
            return;
        };
        if let Some(problem) = kind.check_name(key.name.as_str()) {
            self.refuse(&key, problem);
            return;
        }
        let old = self.current.get(&key);
        match self.usable(kind, &wanted.body, old) {
            Ok((body, resolved)) => {
                self.note_services(kind, &key, &resolved);
                let changes = self.change(kind, &key, wanted, old, body);
                self.references.add(kind, &key, &resolved, changes);
            }
            Err(problems) => problems.into_iter().for_each(|problem| self.refuse(&key, problem)),
        }
    }

    /// The body as it is kept, and as it is used; or what is wrong with it.
    fn usable(&self, kind: &Kind, body: &Value, old: Option<&Object>) -> Result<(Value, Value), Vec<FieldProblem>> {
        let mut problems = check_fields(kind, body);
        let sealed = seal(kind, body, old.map(|old| &old.body), self.context.sealer).map_err(|more| {
            problems.extend(more);
            std::mem::take(&mut problems)
        })?;
        match resolve_object(kind, &sealed, self.context.lookup, self.context.sealer) {
            Err(more) => problems.extend(more),
            Ok(resolved) if problems.is_empty() => {
                let wrong = kind.check(&resolved);
                if wrong.is_empty() {
                    return Ok((sealed, resolved));
                }
                problems.extend(wrong.into_iter().map(|problem| as_written(problem, body, &resolved)));
            }
            Ok(_) => {}
        }
        Err(problems)
    }

    /// Plans to write an object if it differs. Returns whether it does.
    fn change(
        &mut self,
        kind: &Kind,
        key: &ObjectKey,
        wanted: &ManifestObject,
        old: Option<&Object>,
        body: Value,
    ) -> bool {
        let mut fields = old.map_or_else(Vec::new, |old| field_changes(kind, &old.body, &body));
        // Who applies without a manifest changes fields, not who owns the object.
        let owner = old.and_then(|old| old.manifest.clone());
        let manifest = wanted.manifest.clone().or_else(|| owner.clone());
        if old.is_some() && manifest != owner {
            fields.push(FieldChange {
                field: "manifest".to_owned(),
                old: owner.map(Value::from),
                new: manifest.clone().map(Value::from),
            });
        }
        let action = match old {
            None => Action::Create,
            Some(_) if fields.is_empty() => {
                self.planned.plan.unchanged += 1;
                return false;
            }
            Some(_) => Action::Change,
        };
        self.planned.plan.changes.push(ObjectChange {
            key: key.clone(),
            action,
            fields,
        });
        self.planned.changes.push(StoreChange::Put {
            key: key.clone(),
            body,
            manifest,
            if_version: Some(old.map_or(0, |old| old.version)),
        });
        true
    }

    fn delete(&mut self, object: &Object) {
        let key = object.key();
        if self.wanted.contains(&key) {
            return;
        }
        self.references.remove(key.clone());
        self.planned.plan.changes.push(ObjectChange {
            key: key.clone(),
            action: Action::Delete,
            fields: Vec::new(),
        });
        self.planned.changes.push(StoreChange::Delete {
            key,
            if_version: Some(object.version),
        });
    }

    fn note_services(&mut self, kind: &Kind, key: &ObjectKey, resolved: &Value) {
        let Some(services) = self.context.services else {
            return;
        };
        for (field, service) in references::named(resolved, &kind.service_fields) {
            if !services.contains(&service) {
                let message = format!("the service '{service}' is not deployed");
                let field = object_field(key, &field);
                self.planned.plan.warnings.push(FieldProblem::new(field, message));
            }
        }
    }

    fn finish(mut self) -> Result<Planned, Vec<ObjectProblem>> {
        let broken = self.references.broken(&self.context, self.current, &self.wanted);
        self.problems.extend(broken);
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let catalog = self.context.catalog;
        let place = |key: &ObjectKey| (rank(catalog, &key.kind), key.clone());
        let is_delete = |change: &ObjectChange| change.action == Action::Delete;
        let plan = &mut self.planned.plan;
        plan.changes
            .sort_by_key(|change| (is_delete(change), place(&change.key)));
        self.planned.changes.sort_by_key(|change| {
            let is_delete = matches!(change, StoreChange::Delete { .. });
            (is_delete, place(change.key()))
        });
        Ok(self.planned)
    }
}

/// A problem with resolved values taken out of its text again: the environment's values are not for everybody.
fn as_written(mut problem: FieldProblem, written: &Value, resolved: &Value) -> FieldProblem {
    let (written, resolved) = (text_at(written, &problem.field), text_at(resolved, &problem.field));
    if let (Some(written), Some(resolved)) = (written, resolved)
        && written != resolved
        && !resolved.is_empty()
    {
        problem.message = problem.message.replace(resolved, written);
    }
    problem
}
