//! Prints the OpenAPI document of the control API: `cargo run -q -p tenon-protocol --example openapi > schemas/control-openapi.json`.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let document = tenon_protocol::control::openapi_document();
    writeln!(std::io::stdout().lock(), "{document:#}")
}
