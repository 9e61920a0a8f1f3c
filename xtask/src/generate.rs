//! Files made from code: committed, so that a change of them is seen, and checked to be fresh.

use anyhow::bail;

use crate::run::{command, output, root, say};

/// Writes generated files anew, or only compares them.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    write_or_check("docs/zato-api.md", &crate::zato_api::page()?, check)?;
    let openapi = output(&mut command(
        "cargo",
        ["run", "--quiet", "--package", "tenon-protocol", "--example", "openapi"],
    ))?;
    write_or_check("schemas/control-openapi.json", &openapi, check)?;
    crate::ui::install()?;
    let client = root().join("ui/src/api/schema.d.ts");
    let committed = std::fs::read_to_string(&client).unwrap_or_default();
    output(command("npm", ["run", "generate"]).current_dir(root().join("ui")))?;
    if check && std::fs::read_to_string(&client)? != committed {
        std::fs::write(&client, committed)?;
        bail!("ui/src/api/schema.d.ts is not fresh; run 'cargo xtask generate' and commit it");
    }
    Ok(())
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
