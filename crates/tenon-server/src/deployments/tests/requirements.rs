//! Packages: found once, kept with the deployment, installed where it runs.

use std::path::Path;

use super::*;

/// Makes a wheel of one module in a directory.
const WHEEL: &str = r#"
import sys, zipfile
directory, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(f"{directory}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}.py", f"VERSION = '{version}'\n")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
"#;

fn make_wheel(directory: &Path, version: &str) {
    std::fs::create_dir_all(directory).unwrap();
    let mut python = std::process::Command::new("python3");
    let made = python
        .args(["-c", WHEEL])
        .arg(directory)
        .args(["tinything", version])
        .status();
    assert!(made.unwrap().success());
}

fn requirements(directory: &Path, version: &str) -> String {
    format!(
        "--no-index\n--find-links {}\ntinything=={version}\n",
        directory.display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_group_has_its_own_packages_which_are_kept_with_its_deployments() {
    let cluster = cluster();
    let wheels = cluster.dir.path().join("wheels");
    make_wheel(&wheels, "1.0");
    make_wheel(&wheels, "2.0");
    let uses = version("x")
        .replace("'x'", "tinything.VERSION")
        .replace("import os", "import os, tinything");
    cluster.save("requirements.txt", &requirements(&wheels, "1.0"));
    cluster.save("version.py", &uses);
    cluster.save("second/group.toml", "workers = 1\n");
    cluster.save("second/requirements.txt", &requirements(&wheels, "2.0"));
    cluster.save("second/version.py", &uses.replace("test.version", "second.version"));
    let first = cluster.server("server1");
    first.serves("1.0").await;
    first.answers("second.version", "2.0").await;
    let deployments = first.services.deployments().clone();
    let live = deployments.list(Some("default"), None, 1).await.unwrap().remove(0);
    let files = deployments.files(live.number).await.unwrap();
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    let expected = [
        ".requirements/lock.txt",
        ".requirements/wheels/tinything-1.0-py3-none-any.whl",
        "requirements.txt",
        "version.py",
    ];
    assert_eq!(paths, expected);

    // Whoever comes later needs only what the deployment has.
    std::fs::rename(&wheels, cluster.dir.path().join("gone")).unwrap();
    let second = cluster.server_with("server2", |parts| parts.services_dir = None);
    second.serves("1.0").await;
    cluster.save("other.py", &version("o").replace("test.version", "test.other"));
    second.answers("test.other", "o").await;
    second.serves("1.0").await;

    // What can't be found is refused in pip's words, and what ran goes on.
    let wrong = sent_to(
        "second",
        vec![DeploymentFile::new("requirements.txt", requirements(&wheels, "3.0"))],
    );
    let refused = deployments.deploy(wrong).await.unwrap();
    assert_eq!(refused.state, DeploymentState::Refused);
    let file = &refused.refused[0];
    assert_eq!((file.path.as_str(), file.kept_previous), ("requirements.txt", true));
    assert!(
        file.error.contains("tinything==3.0") || file.traceback.contains("tinything==3.0"),
        "{file:?}"
    );
    assert_eq!(first.invoke("second.version").await.unwrap()["version"], "2.0");
    second.stop().await;
    first.stop().await;
}
