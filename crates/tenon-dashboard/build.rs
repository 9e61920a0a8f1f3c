//! Puts the web interface where the crate embeds it from: `ui/dist` if it was built, otherwise a page that says how to
//! build it. A release build without the interface is refused.

use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

const PLACEHOLDER: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tenon</title>
<h1>The web interface is not in this build</h1>
<p>The API is here all the same, and the command line shows everything: <code>tenon status</code>.</p>
<p>To have the interface, run <code>cargo xtask quickstart</code>, or run <code>npm ci &amp;&amp; npm run build</code> in
<code>ui/</code> and build again. Both need Node 20 or newer.</p>
</html>
"#;

/// Why the crate can't be built. Its `Debug` is what cargo shows, so it is the sentence itself.
struct Refusal(String);

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self(format!("the web interface can't be embedded: {error}"))
    }
}

fn main() -> Result<(), Refusal> {
    // Asked for now, not when this was compiled: a build directory may have come from another checkout.
    let ui = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../ui");
    let built = ui.join("dist");
    let embedded = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("ui");
    if embedded.exists() {
        fs::remove_dir_all(&embedded)?;
    }
    fs::create_dir_all(&embedded)?;
    println!("cargo:rerun-if-changed=build.rs");
    if built.join("index.html").exists() {
        println!("cargo:rerun-if-changed={}", built.display());
        copy(&built, &embedded)?;
        return Ok(());
    }
    if env::var("PROFILE").as_deref() == Ok("release") {
        return Err(Refusal(
            "a release build needs the web interface: run `npm ci && npm run build` in ui/ (or `cargo xtask quickstart`, \
             which does it)"
                .to_owned(),
        ));
    }
    // A path that does not exist would make every build a changed one, so the folder above it is watched.
    println!("cargo:rerun-if-changed={}", ui.display());
    fs::write(embedded.join("index.html"), PLACEHOLDER)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
