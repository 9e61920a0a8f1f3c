//! Files read into objects with places, and folders into files.

use serde_json::json;
use tenon_model::FieldProblem;

use super::{ManifestFile, locate, read_dir};
use crate::settings::Settings;

fn parse(text: &str) -> ManifestFile {
    ManifestFile::parse("demo.yaml", text, &Settings::default())
}

#[test]
fn objects_have_bodies_as_written_and_places() {
    let file = parse(
        "rest-channel:\n  - name: users\n    path: /users\n    security: [a, b]\n    limits:\n      rates:\n        - per_second: 5\n\njob:\n- name: nightly\n",
    );
    assert_eq!(file.problems, []);
    let users = &file.objects[0];
    assert_eq!(users.key.to_string(), "rest-channel/users");
    assert_eq!(
        users.body,
        json!({"path": "/users", "security": ["a", "b"], "limits": {"rates": [{"per_second": 5}]}})
    );
    let line = |field: &str| users.position_of(field).line;
    assert_eq!(
        [
            "",
            "path",
            "security",
            "security[1]",
            "limits.rates[0].per_second",
            "limits.rates[0].burst",
            "nothing"
        ]
        .map(line),
        [2, 3, 4, 4, 7, 7, 2]
    );
    assert_eq!(users.position_of("security[1]").column, 19);
    assert_eq!(file.objects[1].body, json!({}));
}

#[test]
fn documents_json_and_shared_parts_are_read() {
    let several = parse("---\njob:\n  - name: a\n---\njob:\n  - name: b\n...\n");
    assert_eq!(several.objects.len(), 2);
    let json = parse("{\"job\": [{\"name\": \"a\", \"service\": \"s\"}], \"topic\": []}");
    assert_eq!(json.objects[0].body, json!({"service": "s"}));
    let shared = parse("x-defaults:\n  often: &often {every: 10s}\njob:\n  - <<: *often\n    name: a\n");
    assert_eq!(shared.problems, []);
    assert_eq!(shared.objects[0].body, json!({"every": "10s"}));
    for nothing in ["", "# only words\n", "job:\n", "---\n"] {
        let file = parse(nothing);
        assert!(file.objects.is_empty() && file.problems.is_empty(), "{nothing:?}");
    }
}

#[test]
fn wrong_forms_are_told_with_their_place() {
    let texts = [
        "- name: a\n",
        "just words\n",
        "job:\n  name: a\n",
        "job: nightly\n",
        "job:\n  - nightly\n  - service: s\n  - name:\n  - name: 12\n  - name: [x]\n  - name: a/b\n  - name: ' a'\n",
        "job:\n  - name: a\n    name: b\n    every: 1s\n    every: 2s\n",
        "job:\n  - name: a\n   every: 1s\n",
    ];
    let said: Vec<String> = texts
        .iter()
        .flat_map(|text| parse(text).problems)
        .map(|problem| problem.to_string())
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn problems_that_a_server_found_get_their_place_back() {
    let files = [parse("job:\n  - name: my job\n    service: s\n    every: 1x\n")];
    let found = |field: &str| locate(&files, &FieldProblem::new(field, "wrong")).to_string();
    assert_eq!(found("job/my job/every"), "demo.yaml:4:5: job/my job/every: wrong");
    assert_eq!(found("job/my job"), "demo.yaml:2:5: job/my job: wrong");
    assert_eq!(found("job/other/every"), "cluster: job/other/every: wrong");
}

#[test]
fn a_folder_gives_its_files_in_order_and_each_owns_its_objects() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("b.yaml", b"job:\n  - name: b\n");
    write("a/z.yml", b"job:\n  - name: z\n");
    write("c.json", b"{\"job\": []}");
    write("notes.txt", b"job: [");
    write(".hidden.yaml", b"job: [");
    write(".git/x.yaml", b"job: [");
    write("latin.yaml", b"job:\n  - name: \xe9\n");
    write("large.yaml", &[b'#'; 2000]);
    let settings = Settings {
        file_bytes_max: 1000,
        ..Settings::default()
    };
    let files = read_dir(folder.path(), &settings).unwrap();
    let owners: Vec<&str> = files.iter().map(|file| file.owner.as_deref().unwrap()).collect();
    assert_eq!(owners, ["a/z.yml", "b.yaml", "c.json", "large.yaml", "latin.yaml"]);
    assert_eq!(
        files[0].manifest_objects().next().unwrap().manifest.as_deref(),
        Some("a/z.yml")
    );
    let messages: Vec<&str> = files
        .iter()
        .flat_map(|file| &file.problems)
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "the file is larger than 1000 bytes; split it",
            "the file is not UTF-8: line 2 has a byte that is no text"
        ]
    );
    let few = Settings {
        files_max: 2,
        ..Settings::default()
    };
    assert!(
        read_dir(folder.path(), &few).unwrap()[2].problems[0]
            .message
            .contains("at most 2 are read")
    );
    assert!(read_dir(&folder.path().join("none"), &settings).is_err());
}
