//! Cases as they lie in the folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::yaml;

/// What stands in the objects of a case for the load balancer's address, and for a folder that services may write to.
const LOAD_BALANCER: &str = "{{load-balancer}}";
const FOLDER: &str = "{{folder}}";
/// What a case may say; anything else is a slip.
const KEYS: [&str; 7] = ["covers", "languages", "service", "channel", "objects", "files", "steps"];

/// One behaviour: a service file, its channel, requests and answers.
#[derive(Debug)]
pub(crate) struct Case {
    /// Group and name, such as `io/optional-elements`.
    pub(crate) name: String,
    /// What `name.yaml` says.
    pub(crate) described: Map<String, Value>,
    folder: PathBuf,
}

/// All cases that are for a language, by name.
pub(crate) fn read_all(language: &str) -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut cases = BTreeMap::new();
    for folder in entries(&root).into_iter().filter(|path| path.is_dir()) {
        for file in entries(&folder) {
            if file.extension().is_some_and(|extension| extension == "yaml") {
                let case = Case::read(&file);
                if case.is_for(language) {
                    cases.insert(case.name.clone(), case);
                }
            }
        }
    }
    assert!(!cases.is_empty(), "{} has no cases", root.display());
    cases.into_values().collect()
}

impl Case {
    fn read(file: &Path) -> Self {
        let folder = file.parent().expect("a file has a folder").to_owned();
        let name = format!("{}/{}", stem(&folder), stem(file));
        let Value::Object(described) = yaml::read(&name, &read(file)) else {
            panic!("{name} is no mapping");
        };
        if let Some(slip) = described.keys().find(|key| !KEYS.contains(&key.as_str())) {
            panic!("{name}: '{slip}' is none of {KEYS:?}");
        }
        Self {
            name,
            described,
            folder,
        }
    }

    fn is_for(&self, language: &str) -> bool {
        let languages = self.described.get("languages").and_then(Value::as_array);
        languages.is_none_or(|all| all.iter().any(|one| one == language))
    }

    /// The path of the Python file within a deployment, and its text.
    pub(crate) fn python_source(&self) -> (String, String) {
        let path = format!("conformance_{}.py", self.name.replace(['/', '-'], "_"));
        (
            path,
            read(&self.folder.join(format!("{}.py", stem(Path::new(&self.name))))),
        )
    }

    /// Files of user configuration that the case has beside it: those it lists under `files`.
    pub(crate) fn user_configuration(&self) -> Vec<(String, String)> {
        let files = self.described.get("files").and_then(Value::as_array);
        let names = files.into_iter().flatten().filter_map(Value::as_str);
        names
            .map(|name| (name.to_owned(), read(&self.folder.join(name))))
            .collect()
    }

    /// The service that the case's channel calls.
    fn service(&self) -> String {
        let named = self.described.get("service").and_then(Value::as_str);
        named.map_or_else(|| format!("conformance.{}", self.name.replace('/', ".")), str::to_owned)
    }

    /// Where the case's channel begins, without its parameters.
    pub(crate) fn path(&self) -> String {
        let channel = self.channel();
        let path = channel["path"].as_str().expect("a path is text");
        path.split('{').next().unwrap_or(path).trim_end_matches('/').to_owned()
    }

    fn channel(&self) -> Value {
        let mut channel = json!({
            "name": format!("conformance.{}", self.name.replace('/', ".")),
            "path": format!("/conformance/{}", self.name),
            "service": self.service(),
        });
        let options = self.described.get("channel").and_then(Value::as_object);
        for (name, value) in options.into_iter().flatten() {
            channel[name] = value.clone();
        }
        channel
    }

    /// The steps in their order.
    pub(crate) fn steps(&self) -> &[Value] {
        let steps = self.described.get("steps").and_then(Value::as_array);
        steps.unwrap_or_else(|| panic!("{}: a case has steps", self.name))
    }
}

/// The objects of all cases as one manifest.
pub(crate) fn manifest(cases: &[Case], load_balancer: &str, folder: &Path) -> Value {
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for case in cases {
        kinds.entry("rest-channel".to_owned()).or_default().push(case.channel());
        let objects = case.described.get("objects").and_then(Value::as_object);
        for (kind, objects) in objects.into_iter().flatten() {
            let objects = objects
                .as_array()
                .unwrap_or_else(|| panic!("{}: {kind} is a list", case.name));
            kinds.entry(kind.clone()).or_default().extend(objects.iter().cloned());
        }
    }
    let text = json!(kinds).to_string().replace(LOAD_BALANCER, load_balancer);
    let text = text.replace(FOLDER, &folder.to_string_lossy());
    serde_json::from_str(&text).expect("addresses and temporary folders need no escapes")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| entry.expect("a folder can be read").path())
        .collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
