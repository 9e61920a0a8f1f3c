//! What is wrong with objects, as far as their kinds alone can tell.
//!
//! Whether what they refer to exists is a matter of the cluster; see [`crate::plan`].

mod fields;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use tenon_model::{Catalog, FieldProblem, ObjectKey};

pub use fields::check_fields;

use crate::file::{ManifestFile, ManifestProblem};
use crate::suggest::did_you_mean;

/// Everything that is wrong with these files, in the order of files and lines. Nothing if they can be applied, as far as can be
/// known without a cluster.
pub fn validate(files: &[ManifestFile], catalog: &Catalog) -> Vec<ManifestProblem> {
    let mut problems = Vec::new();
    let mut seen: HashMap<&ObjectKey, String> = HashMap::new();
    for file in files {
        let mut of_file = file.problems.clone();
        for object in &file.objects {
            let mut refuse = |problem: FieldProblem| of_file.push(file.problem(object, problem));
            let place = format!("{}:{}", file.path, object.position.line);
            if let Some(first) = seen.get(&object.key) {
                refuse(FieldProblem::new("", format!("this object is also at {first}")));
            } else {
                seen.insert(&object.key, place);
            }
            if let Some(kind) = catalog.get(&object.key.kind) {
                kind.check_name(object.key.name.as_str())
                    .into_iter()
                    .for_each(&mut refuse);
                check_fields(kind, &object.body).into_iter().for_each(refuse);
            }
        }
        unknown_kinds(file, catalog, &mut of_file);
        of_file.sort_by_key(|problem| (problem.line, problem.column));
        problems.extend(of_file);
    }
    problems
}

/// One problem for each place where an unknown kind is written, however many objects it has.
fn unknown_kinds(file: &ManifestFile, catalog: &Catalog, problems: &mut Vec<ManifestProblem>) {
    let mut told = Vec::new();
    for object in &file.objects {
        let kind = &object.key.kind;
        if catalog.get(kind).is_none() && !told.contains(&object.kind_position) {
            told.push(object.kind_position);
            problems.push(ManifestProblem {
                file: file.path.clone(),
                line: object.kind_position.line,
                column: object.kind_position.column,
                field: kind.clone(),
                message: unknown_kind(kind, catalog),
            });
        }
    }
}

/// What to say about a kind that nobody knows.
pub(crate) fn unknown_kind(kind: &str, catalog: &Catalog) -> String {
    let names = catalog.names();
    let meant = did_you_mean(kind, names.iter().copied());
    if meant.is_empty() {
        format!("there is no kind '{kind}'; there are {}", names.join(", "))
    } else {
        format!("there is no kind '{kind}'{meant}")
    }
}
