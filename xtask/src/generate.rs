//! Files made from code: committed, so that a change of them is seen, and checked to be fresh.

use anyhow::bail;

use crate::run::{self, command, output, root, say};

/// Writes generated files anew, or only compares them.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let openapi = output(&mut command(
        "cargo",
        ["run", "--quiet", "--package", "tenon-protocol", "--example", "openapi"],
    ))?;
    write_or_check("schemas/control-openapi.json", &openapi, check)?;
    crate::ui::install()?;
    if check {
        let fresh = root().join("target/generated-schema.d.ts");
        let fresh_text = fresh.to_string_lossy().into_owned();
        let arguments = [
            "openapi-typescript",
            "../schemas/control-openapi.json",
            "--output",
            &fresh_text,
        ];
        output(command("npx", arguments).current_dir(root().join("ui")))?;
        return write_or_check("ui/src/api/schema.d.ts", &std::fs::read_to_string(&fresh)?, true);
    }
    run::run(command("npm", ["run", "generate"]).current_dir(root().join("ui")))
}

fn write_or_check(path: &str, text: &str, check: bool) -> anyhow::Result<()> {
    let file = root().join(path);
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if committed == text {
        return Ok(());
    }
    if check {
        bail!("{path} is not fresh; run 'cargo xtask generate' and commit it");
    }
    std::fs::write(&file, text)?;
    say(&format!("wrote {path}"));
    Ok(())
}
